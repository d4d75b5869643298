"""Words that tell names from what stands beside them."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Said before or after a name, never a name by themselves. (Anna, Rani or Prince are titles to some and names to many: not here.)
HONORIFICS = _words(
    """
    mr mrs ms miss mister missus madam madame mademoiselle monsieur herr frau señor señora senor senora signor signora sir dame lord
    lady dr doctor doc prof professor father mother brother sister rev reverend pastor saint st rabbi imam inspector detective
    constable sergeant sgt lieutenant lt captain capt commander cmdr colonel col general gen major maj admiral corporal private
    officer agent chief sheriff marshal deputy superintendent commissioner judge justice president minister senator governor mayor
    king queen princess duchess count countess baron emperor sultan acp dcp dsp ips si asi cm pm shri shrimati sri smt kumari pandit
    pt ustad swami baba maharaj seth sardar nawab begum ji saab sahib saheb bhai bhaiya didi dada dadi nani chacha chachi kaka mama
    mami uncle aunt auntie aunty amma appa akka jr sr ii iii iv श्री श्रीमती कुमारी डॉ डॉक्टर मिस्टर मिसेज़ मिस इंस्पेक्टर कमिश्नर
    जी साहब साहिब भाई चाचा चाची मामा मामी
    """
)
# Roles that credits list without a name ("Bar Patron", "Cop #2").
ROLES = _words(
    """
    actor actress adult agent assistant attendant audience baby band banker bar bartender beggar bodyguard boss boy boyfriend bride
    brother bystander caller cameo cashier chauffeur chef child clerk client co-worker colleague conductor cook cop coroner couple
    crew crowd cousin customer dad dancer daughter diner doctor doorman driver drunk elder elderly employee engineer extra family
    fan farmer father female fighter first fisherman foreman friend gangster gardener girl girlfriend goon groom guard guest guy
    hairdresser henchman himself herself homeless host hostess husband inmate inspector interviewer janitor journalist judge kid
    killer lady landlady landlord lawyer little local maid male man manager mechanic medic member men merchant messenger mob mom
    monk mother mum narrator neighbor neighbour nephew newscaster newsreader niece nun nurse officer old older operator orderly
    other owner paramedic party passenger passerby patient patron pedestrian peon photographer pilot pimp plumber police policeman
    policewoman politician porter priest principal prisoner prostitute receptionist reporter resident rich rickshaw sailor salesman
    salesperson saleswoman second secretary security servant sheriff shopkeeper singer sister soldier son special speaker staff
    stewardess street stranger student sweeper taxi teacher teen teenage teenager teller third thief thug tourist townsperson truck
    tv uncle usher various vendor victim villager visitor voice voices waiter waitress warden wife witness woman women worker young
    younger youth additional background featured uncredited unknown unnamed
    """
)
# Small words inside names and roles.
PARTICLES = _words(
    """
    a an and at bin by da dal de del della den der des di do dos du e el for from ibn in la las le les los of on or the to van von
    with y zu
    """
)
# What the last word of a place or an organisation often is in English.
PLACES = _words(
    """
    Airport Avenue Bay Beach Bridge Castle Cemetery Chowk City County Fort Forest Garden Gardens Gate Ghat Harbour Harbor Heights
    Hill Hills Hotel Island Islands Junction Lake Lane Mahal Mountain Mountains Nagar Palace Park Plaza Port Pur River Road Sea
    Square Station Street Temple Terminus Tower Town Valley Village
    """
)
ORGANISATIONS = _words(
    """
    Academy Agency Army Association Bank Brigade Brothers Bureau Church Club College Company Corporation Council Court Department
    Enterprises Foundation Force Gang Group Hospital Inc Industries Institute Ltd Ministry Museum Navy Newspaper Party Police Prison
    School Service Society Studios Syndicate Times Trust Union University
    """
)
# Written with a capital, and no names.
CALENDAR = _words(
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october
    november december
    """
)
