/* Preloaded into a stage and its children by faults.py: the nth change of the movie directory fails, or kills who makes it.
 *
 * A change is an open for writing, a write, an fsync, a rename, a link, an unlink, a mkdir … of something below FAULT_PREFIX (or of
 * an open file there). FAULT_STATE is a file with `struct state`, shared by all processes: what is to happen, and what has. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct state {
  long count; /* changes so far */
  long at;    /* the one that fails, from 1; 0: none */
  long error; /* errno it fails with; 0: its process is killed before it */
  long stays; /* everything that needs space fails from then on, as on a disk that is full */
  long hits;  /* how many have failed */
};

static struct state *state;
static char prefix[PATH_MAX];
static size_t prefix_length;

static void __attribute__((constructor)) set_up(void) {
  const char *file = getenv("FAULT_STATE"), *folder = getenv("FAULT_PREFIX");
  int descriptor;
  if (!file || !folder || strlen(folder) >= sizeof prefix) return;
  descriptor = open(file, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return;
  void *shared = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (shared == MAP_FAILED) return;
  strcpy(prefix, folder);
  prefix_length = strlen(folder);
  state = shared;
}

static int is_below(const char *path) {
  return strncmp(path, prefix, prefix_length) == 0 && (path[prefix_length] == '/' || path[prefix_length] == 0);
}

/* Whether `path`, relative to the folder `at`, is in the movie directory. Stages name what they write by absolute paths. */
static int is_ours(int at, const char *path) {
  char link[64], folder[PATH_MAX], whole[2 * PATH_MAX];
  ssize_t length;
  if (!state || !path) return 0;
  if (path[0] == '/') return is_below(path);
  if (at == AT_FDCWD)
    strcpy(link, "/proc/self/cwd");
  else
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
  length = readlink(link, folder, sizeof folder - 1);
  if (length < 0) return 0;
  folder[length] = 0;
  snprintf(whole, sizeof whole, "%s/%s", folder, path);
  return is_below(whole);
}

static int is_our_file(int descriptor) {
  char link[64], path[PATH_MAX];
  ssize_t length;
  if (!state) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}

/* Counts a change; true if it is to fail, with errno set. */
static int fails(int ours, int needs_space) {
  long number;
  if (!ours) return 0;
  number = __atomic_add_fetch(&state->count, 1, __ATOMIC_SEQ_CST);
  if (!state->at || number < state->at) return 0;
  if (number > state->at && !(state->stays && needs_space)) return 0;
  __atomic_add_fetch(&state->hits, 1, __ATOMIC_SEQ_CST);
  if (!state->error) kill(getpid(), SIGKILL);
  errno = (int)state->error;
  return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }

#define OPEN(name)                                                                    \
  int name(const char *path, int flags, ...) {                                        \
    va_list rest;                                                                     \
    va_start(rest, flags);                                                            \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;         \
    va_end(rest);                                                                     \
    if (writes(flags) && fails(is_ours(AT_FDCWD, path), flags & O_CREAT)) return -1;  \
    return REAL(name)(path, flags, mode);                                             \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                  \
  int name(int at, const char *path, int flags, ...) {                                \
    va_list rest;                                                                     \
    va_start(rest, flags);                                                            \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;         \
    va_end(rest);                                                                     \
    if (writes(flags) && fails(is_ours(at, path), flags & O_CREAT)) return -1;        \
    return REAL(name)(at, path, flags, mode);                                         \
  }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                                   \
  FILE *name(const char *path, const char *mode) {                                    \
    if (!(mode[0] == 'r' && !strchr(mode, '+')) && fails(is_ours(AT_FDCWD, path), 1)) return NULL; \
    return REAL(name)(path, mode);                                                    \
  }
FOPEN(fopen)
FOPEN(fopen64)

#define CALL(result, name, parameters, arguments, ours, needs_space)                  \
  result name parameters {                                                            \
    if (fails(ours, needs_space)) return -1;                                          \
    return REAL(name) arguments;                                                      \
  }
CALL(ssize_t, write, (int f, const void *b, size_t n), (f, b, n), is_our_file(f), 1)
CALL(ssize_t, pwrite, (int f, const void *b, size_t n, off_t o), (f, b, n, o), is_our_file(f), 1)
CALL(ssize_t, pwrite64, (int f, const void *b, size_t n, off64_t o), (f, b, n, o), is_our_file(f), 1)
CALL(ssize_t, writev, (int f, const struct iovec *v, int n), (f, v, n), is_our_file(f), 1)
CALL(ssize_t, sendfile, (int t, int f, off_t *o, size_t n), (t, f, o, n), is_our_file(t), 1)
CALL(ssize_t, copy_file_range, (int f, off64_t *o, int t, off64_t *p, size_t n, unsigned g), (f, o, t, p, n, g), is_our_file(t), 1)
CALL(int, ftruncate, (int f, off_t n), (f, n), is_our_file(f), 1)
CALL(int, ftruncate64, (int f, off64_t n), (f, n), is_our_file(f), 1)
CALL(int, fsync, (int f), (f), is_our_file(f), 1)
CALL(int, fdatasync, (int f), (f), is_our_file(f), 1)
CALL(int, rename, (const char *a, const char *b), (a, b), is_ours(AT_FDCWD, b), 0)
CALL(int, renameat, (int x, const char *a, int y, const char *b), (x, a, y, b), is_ours(y, b), 0)
CALL(int, link, (const char *a, const char *b), (a, b), is_ours(AT_FDCWD, b), 1)
CALL(int, linkat, (int x, const char *a, int y, const char *b, int f), (x, a, y, b, f), is_ours(y, b), 1)
CALL(int, symlink, (const char *a, const char *b), (a, b), is_ours(AT_FDCWD, b), 1)
CALL(int, symlinkat, (const char *a, int y, const char *b), (a, y, b), is_ours(y, b), 1)
CALL(int, unlink, (const char *a), (a), is_ours(AT_FDCWD, a), 0)
CALL(int, unlinkat, (int x, const char *a, int f), (x, a, f), is_ours(x, a), 0)
CALL(int, rmdir, (const char *a), (a), is_ours(AT_FDCWD, a), 0)
CALL(int, mkdir, (const char *a, mode_t m), (a, m), is_ours(AT_FDCWD, a), 1)
CALL(int, mkdirat, (int x, const char *a, mode_t m), (x, a, m), is_ours(x, a), 1)
