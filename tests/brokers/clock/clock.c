// The wall clock of one process, moved while it runs: preloaded, it answers for the system's with as
// many milliseconds added as the file WALL_CLOCK says. The monotonic clock stays as it is.
//
// Waits until a wall time (librdkafka's) are handed on with the same shift taken off, so that they end
// when the caller meant.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t *ahead_ms;
static int (*system_cond)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*system_cnd)(cnd_t *, mtx_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void) {
  int file = open(getenv("WALL_CLOCK"), O_RDONLY | O_CLOEXEC);
  void *page = mmap(NULL, sizeof *ahead_ms, PROT_READ, MAP_SHARED, file, 0);
  if (page == MAP_FAILED) abort();
  ahead_ms = page;
  system_cond = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  system_cnd = dlsym(RTLD_NEXT, "cnd_timedwait");
}

static void move(struct timespec *time, int64_t ms) {
  int64_t ns = time->tv_nsec + ms % 1000 * 1000000;
  time->tv_sec += ms / 1000 + (ns >= 1000000000) - (ns < 0);
  time->tv_nsec = (ns + 1000000000) % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int failed = syscall(SYS_clock_gettime, clock, time);
  if (!failed && ahead_ms && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    move(time, *ahead_ms);
  return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int failed = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return failed;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

int timespec_get(struct timespec *time, int base) {
  return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, time) ? base : 0;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
  struct timespec systems = *until;
  move(&systems, -*ahead_ms);
  return system_cond(cond, mutex, &systems);
}

int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex,
                  const struct timespec *restrict until) {
  struct timespec systems = *until;
  move(&systems, -*ahead_ms);
  return system_cnd(cond, mutex, &systems);
}
