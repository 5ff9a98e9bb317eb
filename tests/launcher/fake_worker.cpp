// A stand-in for panther-worker. Words after the subcommand are "RANKS:ACTION[=VALUE]", RANKS a number or *, done in order by the ranks
// they name; other words are ignored. Ends with 0 when the words are used up.
//   out=TEXT err=TEXT   a line            raw=TEXT        to stdout without a newline
//   env=NAME            "NAME=value"      words           all words, one a line
//   flood=N             N lines           folder=PATH     tells PATH as the run folder
//   sleep=MS            exit=CODE         kill=SIGNAL     of itself
//   trap                SIGTERM no longer ends it        deaf            ignores SIGTERM
//   until_term          waits for the trapped SIGTERM    trap_usr2, until_usr2   the same for SIGUSR2
//   stray               leaves a process in its group that sleeps, prints its id
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace {

volatile std::sig_atomic_t terminated = 0;
volatile std::sig_atomic_t asked = 0;

void on_term(int) { terminated = terminated + 1; }
void on_usr2(int) { asked = 1; }

void wait_for(const volatile std::sig_atomic_t& flag) {
  while (flag == 0) ::usleep(1000);
}

void tell_folder(const std::string& path) {
  const std::string file = std::getenv("PANTHER_RUN_FOLDER_FILE");
  const std::string beside = file + ".tmp" + std::to_string(::getpid());
  FILE* out = std::fopen(beside.c_str(), "w");
  std::fputs(path.c_str(), out);
  std::fclose(out);
  std::rename(beside.c_str(), file.c_str());
}

void leave_stray() {
  const pid_t stray = ::fork();
  if (stray == 0) {
    ::sleep(600);
    ::_exit(0);
  }
  std::printf("stray %d\n", static_cast<int>(stray));
}

void act(const std::string& action, const std::string& value, int argc, char** argv) {
  if (action == "out") std::printf("%s\n", value.c_str());
  if (action == "err") std::fprintf(stderr, "%s\n", value.c_str());
  if (action == "raw") std::fputs(value.c_str(), stdout);
  if (action == "env") std::printf("%s=%s\n", value.c_str(), std::getenv(value.c_str()) == nullptr ? "(none)" : std::getenv(value.c_str()));
  if (action == "words")
    for (int i = 1; i < argc; ++i) std::printf("%s\n", argv[i]);
  if (action == "flood")
    for (long i = 0; i < std::stol(value); ++i) std::printf("line %ld of many that fill the pipe again and again\n", i);
  if (action == "folder") tell_folder(value);
  if (action == "sleep") std::this_thread::sleep_for(std::chrono::milliseconds(std::stol(value)));
  if (action == "stray") leave_stray();
  if (action == "trap") ::signal(SIGTERM, on_term);
  if (action == "deaf") ::signal(SIGTERM, SIG_IGN);
  if (action == "until_term") wait_for(terminated);
  if (action == "trap_usr2") ::signal(SIGUSR2, on_usr2);
  if (action == "until_usr2") wait_for(asked);
  std::fflush(nullptr);
  if (action == "exit") ::_exit(std::stoi(value));
  if (action == "kill") ::kill(::getpid(), std::stoi(value));
}

}  // namespace

int main(int argc, char** argv) {
  const char* given = std::getenv("PANTHER_RANK");
  const std::string rank = given == nullptr ? "0" : given;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    const auto colon = word.find(':');
    if (colon == std::string::npos || (word.substr(0, colon) != "*" && word.substr(0, colon) != rank)) continue;
    const std::string rest = word.substr(colon + 1);
    const auto equals = rest.find('=');
    act(rest.substr(0, equals), equals == std::string::npos ? "" : rest.substr(equals + 1), argc, argv);
  }
  return 0;
}
