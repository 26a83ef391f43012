// herd: clients that know where they stand. They read what they are sent, come back when they are cut, and can be told
// not to read for a while; all from one thread that costs far less than any server it is turned on.
//
//   herd sse|ws PORT PATH N TOPICS WIDTH eager|obedient [dump]
//
// N clients follow PATH/0 … PATH/TOPICS-1, one topic after the other (PATH itself if TOPICS is 0), of which WIDTH may be
// connecting at the same time. One that is cut comes back with its last id: at once if eager; if obedient, after what it was told
// (`retry:`, Retry-After, retry_after_ms of a close frame), or after one to four seconds if it was told nothing.
//
// Says READY when everybody has had a first event. Then each line of input is answered by one JSON object:
//   storm SECONDS         wait until everybody has been cut, came back, and has a first event; count from the first
//                         connection that was accepted
//   state                 what everybody knows now: per topic the least and the most recent stamp
//   count EVENTS SECONDS  wait until everybody who reads has got so many events that were stamped from now on
//   stall K               let K clients stop reading; they are spread over all
//   read                  let them read again
//   caught                how they came from where they were to now
//
// A stamp is a number of 19 digits, nanoseconds since the epoch, wherever it stands in an event's data; the first
// counts. When an event came is when the kernel put it into the client's socket, however long we take to read it.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define MS 1000000LL
#define NAP 300000                // as in fan.c: whoever sends to a sleeping process pays for waking it up
#define CLIENTS_PER_SOURCE 2000   // one source address has 28,000 ports, and many are in TIME_WAIT after a cut
#define REFUSED_PAUSE (2 * MS)    // of an eager client whom nobody listens to
#define RECEIVE_BYTES (128 << 10)  // what a client's own kernel takes for it; left alone, it takes megabytes in the end
#define LINE 256
#define ID 136                    // ids have at most 128 characters
#define STAMP_DIGITS 19
#define INPUT UINT32_MAX

enum { WAITING, CONNECTING, ASKED, OPEN };   // a client: OPEN once it has had its first event
enum { HEAD, EVENTS, FRAMES };               // what it reads
enum { NOTHING, STORM, COUNT };              // what is being waited for

typedef struct {
  int fd;
  unsigned char state, reads, is_stalled, was_stalled, is_back, has_field, is_problem;
  unsigned char frame_head[10], frame_head_len, opcode;
  int status, line_len, digits, retry_ms;  // retry_ms: what it was told last; -1: nothing
  char line[LINE];                         // how the line or frame begins that is being read
  char kind[12], id[ID], cursor[ID];       // of the event that is being read; where the client stands
  long long digits_value, stamp, last_stamp, connected_at, beat_at, frame_left;
  unsigned got, held, jumps;
} Client;

static Client *clients;
static long long *dues;  // when each comes back, if it is waiting; apart, because they are looked through all the time
static int poller, total, topics, width, port, is_websocket, is_eager, is_dumping;
static int pending, waiting, next_waiting, readers;  // readers: those who are open and not stalled
static int is_down;      // nobody listens: of the eager, one goes and looks
static const char *path;

static int question;  // and what belongs to it
static long long asked_at, deadline, all_at;
static unsigned count;
static int finished;
static long long first_accepted, first_back, last_back;
static int back, refused, turned_away, snapshots, heartbeats, most_told, repeats, jumps;
static long long messages, bytes, most_gap;
static double cpu_before;
static unsigned *delays;
static long long *arrivals;
static size_t samples, room;

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * NS + t.tv_nsec;
}

static double cpu_seconds(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static int ascending(const void *a, const void *b) {
  unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
  return (x > y) - (x < y);
}

static int topic_of(int slot) { return topics ? (long long)slot * topics / total : 0; }

static void watch(Client *c, int how, unsigned events) {
  struct epoll_event e = {.events = events, .data.u32 = c - clients};
  epoll_ctl(poller, how, c->fd, &e);
}

// Coming and going.

static void come_back_in(Client *c, long long delay) {
  if (c->state != WAITING) waiting++;
  if (c->state == CONNECTING || c->state == ASKED) pending--;
  if (c->state == OPEN && !c->is_stalled) readers--;
  close(c->fd);
  c->is_stalled = 0;
  c->state = WAITING;
  dues[c - clients] = now_ns() + delay;
}

static long long told_delay(Client *c) {
  return c->retry_ms >= 0 ? c->retry_ms * MS : NS + rand() % (3 * NS);
}

static void tell(Client *c, int milliseconds) {
  c->retry_ms = milliseconds;
  if (milliseconds > most_told) most_told = milliseconds;
}

static void lose(Client *c) { come_back_in(c, is_eager ? 0 : told_delay(c)); }

static void start(Client *c) {
  int on = 1, size = RECEIVE_BYTES, slot = c - clients;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) { perror("socket"); exit(1); }
  struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + slot / CLIENTS_PER_SOURCE);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  setsockopt(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  bind(c->fd, (struct sockaddr *)&from, sizeof from);
  connect(c->fd, (struct sockaddr *)&to, sizeof to);
  watch(c, EPOLL_CTL_ADD, EPOLLOUT);
  dues[slot] = INT64_MAX;
  c->state = CONNECTING;
  waiting--;
  pending++;
}

static void start_those_due(void) {
  long long now = now_ns();
  for (int n = 0; n < total && waiting && pending < (is_down ? 1 : width); n++) {
    int slot = next_waiting;
    next_waiting = (slot + 1) % total;
    if (dues[slot] <= now && clients[slot].state == WAITING) start(&clients[slot]);
  }
}

static void ask(Client *c) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) {
    refused++;
    is_down = is_eager;
    come_back_in(c, is_eager ? REFUSED_PAUSE : told_delay(c));
    return;
  }
  is_down = 0;
  c->connected_at = now_ns();
  char request[1024], topic[16] = "";
  if (topics) snprintf(topic, sizeof topic, "/%d", topic_of(c - clients));
  int length = snprintf(request, sizeof request, "GET %s%s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", path, topic,
      is_websocket && *c->cursor ? "?cursor=" : "", is_websocket ? c->cursor : "", port);
  length += snprintf(request + length, sizeof request - length, is_websocket
      ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
      : "Accept: text/event-stream\r\n");
  if (!is_websocket && *c->cursor)
    length += snprintf(request + length, sizeof request - length, "Last-Event-ID: %s\r\n", c->cursor);
  length += snprintf(request + length, sizeof request - length, "\r\n");
  if (send(c->fd, request, length, MSG_NOSIGNAL) != length) { lose(c); return; }
  c->state = ASKED;
  c->reads = HEAD;
  c->status = c->line_len = c->digits = c->frame_head_len = c->has_field = c->is_problem = 0;
  c->stamp = c->frame_left = c->beat_at = 0;
  *c->kind = *c->id = 0;
  watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

// What an event means.

static void note_sample(long long stamp, long long at) {
  if (samples == room) {
    room = room ? 2 * room : 1 << 16;
    delays = realloc(delays, room * sizeof *delays);
    if (is_dumping) arrivals = realloc(arrivals, 2 * room * sizeof *arrivals);
  }
  if (is_dumping) { arrivals[2 * samples] = stamp; arrivals[2 * samples + 1] = at; }
  delays[samples++] = at > stamp ? (at - stamp) / 1000 : 0;
}

// Ids are EPOCH.NUMBER.…; a number means something only beside others of its epoch.
static void note_id(Client *c) {
  char *dot = strchr(c->id, '.');
  int epoch = dot ? dot + 1 - c->id : 0;
  long long step = epoch && !strncmp(c->id, c->cursor, epoch) ? atoll(c->id + epoch) - atoll(c->cursor + epoch) : 1;
  if (step <= 0) repeats++;
  if (step > 1) { jumps++; c->jumps++; }
  if (!c->jumps) c->held++;
}

static void note_first(Client *c, int is_beat) {
  c->state = OPEN;
  pending--;
  readers++;
  if (is_beat) heartbeats++; else if (!strcmp(c->kind, "snapshot")) snapshots++;
  if (c->is_back || c->connected_at < asked_at) return;
  // A server that is being killed may still accept somebody, who never hears of it: only who came back counts.
  if (!first_accepted || c->connected_at < first_accepted) first_accepted = c->connected_at;
  c->is_back = 1;
  back++;
  last_back = now_ns();
  if (!first_back) first_back = last_back;
}

static void hear_event(Client *c, long long at) {
  int is_beat = !strcmp(c->kind, "heartbeat");
  if (!strcmp(c->kind, "problem")) { c->is_problem = 1; turned_away++; return; }
  if (c->state == ASKED) note_first(c, is_beat);
  if (is_beat && c->beat_at && at - c->beat_at > most_gap) most_gap = at - c->beat_at;
  if (is_beat) c->beat_at = at;
  if (*c->id && !is_beat) note_id(c);
  if (*c->id) strcpy(c->cursor, c->id);
  if (!c->stamp) return;
  c->last_stamp = c->stamp;
  if (question != COUNT || c->stamp <= asked_at || c->is_stalled) return;
  note_sample(c->stamp, at);
  messages++;
  if (++c->got == count) finished++;
}

static void end_event(Client *c, long long at) {
  hear_event(c, at);
  c->stamp = c->has_field = 0;
  *c->kind = *c->id = 0;
}

// Reading: bytes to lines and frames.

static void take(Client *c, const char *from, const char *end) {
  int size = end - from < LINE - 1 - c->line_len ? end - from : LINE - 1 - c->line_len;
  memcpy(c->line + c->line_len, from, size);
  c->line_len += size;
  if (c->stamp || (c->reads != FRAMES && *c->line != 'd')) return;
  for (; from < end; from++) {
    if (*from < '0' || *from > '9') { c->digits = 0; c->digits_value = 0; continue; }
    c->digits_value = c->digits_value * 10 + (*from - '0');
    if (++c->digits == STAMP_DIGITS) { c->stamp = c->digits_value; return; }
  }
}

static void copy(char *to, int size, const char *from, const char *until) {
  int length = strcspn(from, until);
  if (length >= size) length = size - 1;
  memcpy(to, from, length);
  to[length] = 0;
}

static int hear_head_line(Client *c) {
  if (!c->status) c->status = atoi(strchr(c->line, ' ') ? strchr(c->line, ' ') : "0");
  else if (!strncasecmp(c->line, "retry-after:", 12)) tell(c, 1000 * atoi(c->line + 12));
  if (c->line_len) return 1;
  c->reads = c->status == 101 ? FRAMES : EVENTS;
  if (c->status == 200 || c->status == 101) return 1;
  turned_away++;
  lose(c);
  return 0;
}

static void hear_event_line(Client *c, long long at) {
  if (!c->line_len) { if (c->has_field) end_event(c, at); return; }
  if (!strncmp(c->line, "id: ", 4)) copy(c->id, ID, c->line + 4, "");
  else if (!strncmp(c->line, "event: ", 7)) copy(c->kind, sizeof c->kind, c->line + 7, "");
  else if (!strncmp(c->line, "retry: ", 7)) tell(c, atoi(c->line + 7));
  else if (*c->line == ':' || !strncmp(c->line, "data:", 5)) c->has_field = 1;  // chunk sizes are none
}

static int end_line(Client *c, long long at) {
  if (c->line_len && c->line[c->line_len - 1] == '\r') c->line_len--;
  c->line[c->line_len] = 0;
  int goes_on = 1;
  if (c->reads == HEAD) goes_on = hear_head_line(c);
  else hear_event_line(c, at);
  c->line_len = c->digits = 0;
  return goes_on;
}

static int end_frame(Client *c, long long at) {
  c->line[c->line_len] = 0;
  if (c->opcode == 8) {
    char *reason = c->line_len > 2 ? strstr(c->line + 2, "retry_after_ms=") : NULL;
    if (reason) tell(c, atoi(reason + 15));
    lose(c);
    return 0;
  }
  char *kind = strstr(c->line, "\"event\":\""), *id = strstr(c->line, "\"id\":\"");
  if (kind) copy(c->kind, sizeof c->kind, kind + 9, "\"");
  if (id) copy(c->id, ID, id + 6, "\"");
  end_event(c, at);
  c->line_len = c->digits = c->frame_head_len = 0;
  return 1;
}

// What servers send is not masked (RFC 6455 section 5.2).
static const char *read_frame_head(Client *c, const char *from, const char *end) {
  while (from < end) {
    unsigned char *head = c->frame_head;
    head[c->frame_head_len++] = *from++;
    int size = c->frame_head_len < 2 ? 2 : head[1] == 126 ? 4 : head[1] == 127 ? 10 : 2;
    if (c->frame_head_len < size) continue;
    c->opcode = head[0] & 15;
    c->frame_left = size == 2 ? head[1] : 0;
    for (int i = 2; i < size; i++) c->frame_left = c->frame_left << 8 | head[i];
    c->line_len = c->digits = 0;
    c->frame_head_len = 10;  // complete
    return from;
  }
  return from;
}

static void hear_frames(Client *c, const char *from, const char *end, long long at) {
  while (from < end) {
    if (c->frame_head_len < 10) from = read_frame_head(c, from, end);
    if (c->frame_head_len < 10) return;
    const char *stop = end - from < c->frame_left ? end : from + c->frame_left;
    take(c, from, stop);
    c->frame_left -= stop - from;
    from = stop;
    if (!c->frame_left && !end_frame(c, at)) return;
  }
}

static void hear_lines(Client *c, const char *from, const char *end, long long at) {
  while (from < end) {
    const char *line_end = memchr(from, '\n', end - from);
    take(c, from, line_end ? line_end : end);
    if (!line_end || !end_line(c, at)) return;
    from = line_end + 1;
    if (c->reads == FRAMES) { hear_frames(c, from, end, at); return; }
  }
}

static void hear(Client *c) {
  static char buffer[1 << 16];
  char control[CMSG_SPACE(sizeof(struct timespec))];
  struct iovec into = {buffer, sizeof buffer};
  struct msghdr message = {
      .msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t size = recvmsg(c->fd, &message, 0);
  if (size < 0 && errno == EAGAIN) return;
  if (size <= 0) { lose(c); return; }
  long long at = 0;
  for (struct cmsghdr *one = CMSG_FIRSTHDR(&message); one; one = CMSG_NXTHDR(&message, one)) {
    struct timespec t;
    memcpy(&t, CMSG_DATA(one), sizeof t);
    at = t.tv_sec * NS + t.tv_nsec;
  }
  if (!at) at = now_ns();  // the first bytes after the kernel began to take the time have none
  bytes += size;
  if (c->reads == FRAMES) hear_frames(c, buffer, buffer + size, at);
  else hear_lines(c, buffer, buffer + size, at);
}

// Questions and answers.

static void forget(int new_question, double patience) {
  question = new_question;
  asked_at = now_ns();
  deadline = asked_at + (long long)(patience * NS);
  finished = back = refused = turned_away = snapshots = heartbeats = most_told = repeats = jumps = 0;
  messages = bytes = most_gap = first_accepted = first_back = last_back = all_at = 0;
  samples = 0;
  cpu_before = cpu_seconds();
  for (int i = 0; i < total; i++) {
    clients[i].got = clients[i].is_back = 0;
    clients[i].beat_at = 0;
    if (clients[i].retry_ms > most_told) most_told = clients[i].retry_ms;
  }
}

static void answer_storm(void) {
  printf("{\"back\":%d,\"first\":%.4f,\"seconds\":%.4f,\"refused\":%d,\"turned_away\":%d,\"snapshots\":%d,\"heartbeats\":%d,"
         "\"most_told_ms\":%d,\"repeats\":%d,\"jumps\":%d,\"cpu\":%.3f}\n",
         back, (first_back - first_accepted) / 1e9, (last_back - first_accepted) / 1e9, refused, turned_away, snapshots, heartbeats, most_told, repeats,
         jumps, cpu_seconds() - cpu_before);
}

static void answer_state(void) {
  int open = 0;
  for (int i = 0; i < total; i++) open += clients[i].state == OPEN;
  printf("{\"missing\":%d,\"repeats\":%d,\"jumps\":%d,\"stamps\":[", total - open, repeats, jumps);
  for (int i = 0; i < total;) {
    int topic = topic_of(i);
    long long least = clients[i].last_stamp, most = least;
    for (; i < total && topic_of(i) == topic; i++) {
      if (clients[i].last_stamp < least) least = clients[i].last_stamp;
      if (clients[i].last_stamp > most) most = clients[i].last_stamp;
    }
    printf("%s[%lld,%lld]", topic ? "," : "", least, most);
  }
  printf("]}\n");
}

static void answer_count(void) {
  unsigned least = ~0u, most = 0;
  for (int i = 0; i < total; i++) {
    Client *c = &clients[i];
    if (c->is_stalled) continue;
    if (c->got < least) least = c->got;
    if (c->got > most) most = c->got;
  }
  printf("{\"messages\":%lld,\"least\":%u,\"most\":%u,\"bytes\":%lld,\"repeats\":%d,\"jumps\":%d,\"beat_gap_ms\":%.1f,",
         messages, least, most, bytes, repeats, jumps, most_gap / 1e6);
  if (is_dumping) printf("\"arrivals\":[");
  for (size_t i = 0; is_dumping && i < samples; i++)
    printf("%s[%lld,%lld]", i ? "," : "", arrivals[2 * i], arrivals[2 * i + 1]);
  if (is_dumping) printf("],");
  qsort(delays, samples, sizeof *delays, ascending);
  unsigned p50 = samples ? delays[samples / 2] : 0, p99 = samples ? delays[samples * 99 / 100] : 0;
  printf("\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"seconds\":%.3f,\"cpu\":%.3f}\n", p50, p99,
         samples ? delays[samples - 1] : 0, ((all_at ? all_at : now_ns()) - asked_at) / 1e9,
         cpu_seconds() - cpu_before);
}

static void stall(int number) {
  for (int i = 0; i < total; i++) clients[i].was_stalled = 0;
  for (int n = 0; n < number; n++) {
    Client *c = &clients[(long long)n * total / number];
    if (c->state != OPEN || c->is_stalled) continue;
    readers--;
    c->is_stalled = c->was_stalled = 1;
    watch(c, EPOLL_CTL_MOD, 0);
  }
  printf("{}\n");
}

static void read_again(void) {
  long long most = 0;
  for (int i = 0; i < total; i++) {
    Client *c = &clients[i];
    if (!c->is_stalled) continue;
    int size = 0;
    ioctl(c->fd, FIONREAD, &size);
    if (size > most) most = size;
    readers++;
    c->is_stalled = c->jumps = c->held = 0;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
  }
  printf("{\"unread\":%lld}\n", most);
}

static void answer_caught(void) {
  long long newest = 0;
  unsigned least = ~0u, most = 0, most_held = 0;
  int behind = 0, lost = 0;
  for (int i = 0; i < total; i++) if (clients[i].last_stamp > newest) newest = clients[i].last_stamp;
  for (int i = 0; i < total; i++) {
    Client *c = &clients[i];
    if (!c->was_stalled) continue;
    behind += c->last_stamp < newest;
    lost += c->state != OPEN;
    if (c->jumps < least) least = c->jumps;
    if (c->jumps > most) most = c->jumps;
    if (c->held > most_held) most_held = c->held;
  }
  printf("{\"least_jumps\":%u,\"most_jumps\":%u,\"most_held\":%u,\"behind\":%d,\"lost\":%d}\n", least, most, most_held,
         behind, lost);
}

static void obey(char *line) {
  double patience = 0;
  int number = 0;
  if (sscanf(line, "storm %lf", &patience) == 1) forget(STORM, patience);
  else if (sscanf(line, "count %u %lf", &count, &patience) == 2) forget(COUNT, patience);
  else if (sscanf(line, "stall %d", &number) == 1) stall(number);
  else if (!strncmp(line, "state", 5)) answer_state();
  else if (!strncmp(line, "read", 4)) read_again();
  else if (!strncmp(line, "caught", 6)) answer_caught();
  else printf("{\"error\":\"not understood\"}\n");
  fflush(stdout);
}

static void read_input(void) {
  static char input[256];
  static int size;
  ssize_t more = read(0, input + size, sizeof input - 1 - size);
  if (more <= 0) exit(0);
  size += more;
  input[size] = 0;
  for (char *end; (end = memchr(input, '\n', size));) {
    *end = 0;
    obey(input);
    size -= end + 1 - input;
    memmove(input, end + 1, size);
  }
}

static void answer_when_due(void) {
  long long now = now_ns();
  if (question == COUNT && !all_at && finished >= readers) {
    all_at = now;
    deadline = now + NS / 5;  // what is delivered twice comes now
  }
  if (question == STORM && back == total) deadline = 0;
  if (now < deadline) return;
  if (question == STORM) answer_storm(); else answer_count();
  fflush(stdout);
  question = NOTHING;
}

static void turn(void) {
  struct epoll_event events[256];
  if (waiting && pending < width) start_those_due();
  int ready = epoll_wait(poller, events, 256, 0);
  if (!ready) nanosleep(&(struct timespec){.tv_nsec = NAP}, NULL);
  for (int i = 0; i < ready; i++) {
    if (events[i].data.u32 == INPUT) { read_input(); continue; }
    Client *c = &clients[events[i].data.u32];
    if (c->state == CONNECTING) ask(c);
    else if (c->state != WAITING && c->is_stalled) lose(c);  // nothing else is told of it: it is over
    else if (c->state != WAITING) hear(c);
  }
  if (question != NOTHING) answer_when_due();
}

int main(int argc, char **argv) {
  if (argc < 8) {
    fprintf(stderr, "usage: herd sse|ws PORT PATH N TOPICS WIDTH eager|obedient [dump]\n");
    return 2;
  }
  is_websocket = !strcmp(argv[1], "ws");
  port = atoi(argv[2]);
  path = argv[3];
  total = waiting = atoi(argv[4]);
  topics = atoi(argv[5]);
  width = atoi(argv[6]);
  is_eager = !strcmp(argv[7], "eager");
  is_dumping = argc > 8 && !strcmp(argv[8], "dump");
  clients = calloc(total, sizeof *clients);
  dues = calloc(total, sizeof *dues);
  for (int i = 0; i < total; i++) clients[i].retry_ms = -1;
  poller = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.u32 = INPUT};
  epoll_ctl(poller, EPOLL_CTL_ADD, 0, &e);

  long long until = now_ns() + 60 * NS;
  while (readers < total && now_ns() < until) turn();
  printf("READY %d\n", readers);
  fflush(stdout);
  for (;;) turn();
}
