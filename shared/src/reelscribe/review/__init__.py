"""The report served for review: on this machine alone, with cues, voices' names and the glossary to be edited.

    python -m reelscribe.review DIR [--port N] [--no-browser]

server.py answers, files.py knows the few files that may be read, desk.py keeps what the user writes, rerun.py runs what follows from it
with native/pipeline.sh (post-ner and subtitle-gen at once, mux when the user has paused), page.py makes the page: the report's own with
report/page/edit.js.

Who may talk to it: whoever knows the token, which is the first part of every path. A cookie would do with shorter addresses, but browsers
send cookies to every port of this host, and to requests that other pages make; a path has to be known. Against pages elsewhere also stand
the Host header (a name that is made to mean 127.0.0.1 is refused) and, for what changes something, Origin and content type.
"""
