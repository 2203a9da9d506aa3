// bench/suite/native.cc -- see native.h.
// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "native.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

std::string program() {
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self);
    std::string path = n > 0 ? std::string(self, static_cast<size_t>(n)) : "";
    size_t slash = path.rfind('/');
    return (slash == std::string::npos ? "" : path.substr(0, slash + 1)) + "weft-bench-native";
}

void complain(const std::string &text) {
    fprintf(stderr, "weft-bench: %s\n", text.c_str());
}

[[noreturn]] void start(const std::string &path, char **argv) {
    execv(path.c_str(), argv);
    complain("cannot start " + path + ": " + strerror(errno));
    _exit(1);
}

// Reads to the end and closes.
std::string read_all(int fd) {
    std::string text;
    char piece[4096];
    for (ssize_t n; (n = read(fd, piece, sizeof piece)) != 0;) {
        if (n > 0) text.append(piece, static_cast<size_t>(n));
        if (n < 0 && errno != EINTR) break;
    }
    close(fd);
    return text;
}

// The elements of the array "benchmarks", and where they begin and end.
bool benchmarks_of(const std::string &document, size_t *begin, size_t *end) {
    static const char mark[] = "\"benchmarks\": [";
    size_t at = document.find(mark);
    *end = document.rfind(']');
    if (at == std::string::npos || *end == std::string::npos || at + sizeof mark - 1 > *end) return false;
    *begin = at + sizeof mark - 1;
    while (*end > *begin && isspace(static_cast<unsigned char>(document[*end - 1]))) --*end;
    return true;
}

bool append_benchmarks(std::string *to, const std::string &from) {
    size_t begin, end, begin_from, end_from;
    if (!benchmarks_of(*to, &begin, &end) || !benchmarks_of(from, &begin_from, &end_from)) return false;
    std::string more = from.substr(begin_from, end_from - begin_from);
    if (!more.empty()) to->insert(end, (end > begin ? "," : "") + more);
    return true;
}

bool ended_well(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return false;
    if (WIFSIGNALED(status)) complain(std::string("weft-bench-native: ") + strsignal(WTERMSIG(status)));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

} // namespace

void native_instead(char **argv) {
    start(program(), argv);
}

// The document comes through a pipe, which the program opens as a file.
bool native_run(const std::string &filter, int repetitions, std::string *json) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        complain(std::string("no pipe: ") + strerror(errno));
        return false;
    }
    std::vector<std::string> words = {"weft-bench-native", "--repetitions", std::to_string(repetitions)};
    if (!filter.empty()) words.insert(words.end(), {"--filter", filter});
    if (json) words.insert(words.end(), {"--json", "/proc/self/fd/" + std::to_string(ends[1])});
    std::vector<char *> argv;
    for (std::string &w : words) argv.push_back(&w[0]);
    argv.push_back(nullptr);
    std::string path = program();
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        fcntl(ends[1], F_SETFD, 0);
        start(path, argv.data());
    }
    int error = errno;
    close(ends[1]);
    std::string document = read_all(ends[0]);
    if (child < 0) complain(std::string("cannot start a process: ") + strerror(error));
    if (child < 0 || !ended_well(child)) return false;
    if (!json || append_benchmarks(json, document)) return true;
    complain("weft-bench-native wrote no Google Benchmark document");
    return false;
}
