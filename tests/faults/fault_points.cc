// Runs a command again and again, each time with a fault at another of its file operations, resumes
// it, and compares what it leaves with what an undisturbed run leaves.
//
//   fault_points --shim fault_shim.so --out DIR/out --modes MODE,MODE... [--points N]
//       [--resume ARGUMENT] -- COMMAND...
//
// DIR is used as scratch: it must not hold anything else. MODE: kill, torn, short, enospc, eio (see
// fault_shim.cc), cut-strict, cut-random (journal.h). --points: number of operations that are tried
// in each mode, spread evenly; 0 or none: all. --resume: added to the command to resume it.
// Exit status 0 if every result is right, 1 if not, with a line for each point that fails.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "journal.h"

namespace lorikeet::faults {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string shim, out, resume;
  std::vector<std::string> modes;
  size_t points = 0;
  std::vector<std::string> command;
  std::string dir() const { return fs::path(out).parent_path().string(); }
  std::string Beside(const char* name) const { return dir() + "." + name; }
};

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Outcome {
  int status = 0;
  std::string error;  // stderr
};

// The fault: {} for none.
using Environment = std::map<std::string, std::string>;

Outcome Run(const Options& options, const std::vector<std::string>& command, Environment fault) {
  const std::string error = options.Beside("stderr");
  if (!fault.empty()) {
    fault["LD_PRELOAD"] = options.shim;
    fault["FAULT_DIR"] = options.dir();
  }
  const pid_t child = fork();
  if (child == 0) {
    for (const auto& [name, value] : fault) setenv(name.c_str(), value.c_str(), 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    setenv("GOMP_SPINCOUNT", "0", 1);  // set: the program does not start itself again for it
    const int nothing = open("/dev/null", O_RDWR);
    const int messages = open(error.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(nothing, 0);
    dup2(nothing, 1);
    dup2(messages, 2);
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(126);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) throw std::runtime_error("no child");
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), ReadAll(error)};
}

// What a finished run must leave whatever happened to it: contents without times, by name.
using Contents = std::map<std::string, std::string>;

std::string Timeless(const std::string& name, const std::string& text) {
  static const std::set<std::string> kOnlyThere = {
      "train_summary.json", "result.json", "report.html", "section.html", "claims.json",
      "findings.json",      "runs.jsonl",  "run.json",    "memory.json",  "lock"};
  const std::string extension = fs::path(name).extension().string();
  const bool drawing = extension == ".svg" || extension == ".png" || extension == ".csv";
  if (drawing || kOnlyThere.contains(name)) return "";  // times and processes are in it
  if (name != "metrics.jsonl") return text;
  static const std::regex kTimes(
      R"re("([a-z_/]*_(seconds|per_second|utilization)|eval_runtime)":[^,}]*,?)re");
  return std::regex_replace(text, kTimes, "");
}

Contents ContentsOf(const std::string& dir) {
  Contents contents;
  if (!fs::exists(dir)) return contents;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    std::string path = fs::relative(entry.path(), dir).string();
    if (name.starts_with("events.out")) {
      path = fs::path(path).parent_path().string() + "/events";  // one for each process
      contents[path] = "";
    } else if (entry.is_regular_file()) {
      contents[path] = Timeless(name, ReadAll(entry.path().string()));
    } else {
      contents[path + "/"] = "";
    }
  }
  return contents;
}

// The first difference; empty if there is none.
std::string Difference(const Contents& expected, const Contents& found) {
  for (const auto& [name, content] : expected) {
    const auto at = found.find(name);
    if (at == found.end()) return name + " is missing";
    if (at->second != content) return name + " differs";
  }
  for (const auto& [name, content] : found) {
    if (!expected.contains(name)) return name + " is left over";
  }
  return "";
}

class Tester {
 public:
  explicit Tester(const Options& options) : options_(options) {
    resume_ = options.command;
    if (!options.resume.empty()) resume_.push_back(options.resume);
  }

  bool RunAll() {
    MakeReference();
    std::printf("%zu operations;", journal_.size());
    size_t failed = 0;
    for (size_t i = 0; i < options_.modes.size(); ++i) failed += RunMode(i);
    std::printf("\n");
    return failed == 0;
  }

 private:
  // Returns the number of points that failed.
  size_t RunMode(size_t index) {
    mode_ = options_.modes[index];
    tried_ = failed_ = 0;
    const size_t all = journal_.size(), wanted = options_.points;
    const size_t points = wanted == 0 ? all : std::min(wanted, all);
    // Each mode has other points, where not all are tried.
    const size_t shift = all / points * index / options_.modes.size();
    for (size_t i = 0; i < points; ++i) Try(1 + shift + i * all / points);
    std::printf(" %s %zu tried, %zu failed;", mode_.c_str(), tried_, failed_);
    std::fflush(stdout);
    return failed_;
  }

  void Clear() const {
    fs::remove_all(options_.dir());
    fs::create_directories(options_.dir());
  }

  void MakeReference() {
    const std::string journal = options_.Beside("journal");
    fs::remove(journal);
    Clear();
    const Outcome outcome = Run(options_, options_.command, {{"FAULT_JOURNAL", journal}});
    if (outcome.status != 0)
      throw std::runtime_error("the undisturbed run failed: " + outcome.error);
    journal_ = ReadJournal(journal);
    reference_ = ContentsOf(options_.out);
    if (journal_.empty()) throw std::runtime_error("the undisturbed run did nothing");
  }

  void Try(size_t k) {
    ++tried_;
    Clear();
    std::string wrong = mode_.starts_with("cut-") ? Cut(k) : Fault(k);
    if (wrong.empty()) wrong = Resume();
    if (wrong.empty()) return;
    ++failed_;
    const JournalEntry& at = journal_[k - 1];
    std::printf("\n  %s at %zu, %s %s: %s\n", mode_.c_str(), k, at.operation.c_str(),
                at.path.c_str(), wrong.c_str());
    std::fflush(stdout);
  }

  std::string Cut(size_t k) const {
    std::mt19937_64 random(k);
    const auto cut = mode_ == "cut-strict" ? faults::Cut::kStrict : faults::Cut::kRandom;
    MakeCutState(journal_, k - 1, options_.out, cut, random);
    return "";
  }

  std::string Fault(size_t k) const {
    const Outcome outcome =
        Run(options_, options_.command, {{"FAULT_AT", std::to_string(k)}, {"FAULT_KIND", mode_}});
    if (mode_ == "kill" || mode_ == "torn") {
      return outcome.status == 137 ? "" : "status " + std::to_string(outcome.status);
    }
    if (outcome.status == 0) {
      const std::string difference = Difference(reference_, ContentsOf(options_.out));
      // What could not be deleted is left; resuming removes it.
      const bool fails = mode_ != "short" && difference.ends_with("is left over");
      return difference.empty() || fails ? "" : "status 0, but " + difference;
    }
    if (mode_ == "short") return "failed: " + outcome.error;
    const bool one_line = std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1 &&
                          outcome.error.starts_with("lorikeet: error: ");
    const bool names_it = outcome.error.find(options_.dir()) != std::string::npos;
    if (outcome.status == 1 && one_line && names_it) return "";
    return "status " + std::to_string(outcome.status) + ": " + outcome.error;
  }

  std::string Resume() const {
    const Outcome outcome = Run(options_, resume_, {});
    if (outcome.status != 0) return "cannot be resumed: " + outcome.error;
    return Difference(reference_, ContentsOf(options_.out));
  }

  const Options& options_;
  std::vector<std::string> resume_;
  std::vector<JournalEntry> journal_;
  Contents reference_;
  std::string mode_;
  size_t tried_ = 0, failed_ = 0;  // in this mode
};

std::vector<std::string> Split(const std::string& list) {
  std::istringstream text(list);
  std::vector<std::string> words;
  for (std::string word; std::getline(text, word, ',');) words.push_back(word);
  return words;
}

Options ParseOptions(const std::vector<std::string>& words) {
  Options options;
  size_t i = 0;
  for (; i + 1 < words.size() && words[i] != "--"; i += 2) {
    const std::string &name = words[i], &value = words[i + 1];
    if (name == "--shim")
      options.shim = fs::absolute(value).string();
    else if (name == "--out")
      options.out = fs::absolute(value).string();
    else if (name == "--modes")
      options.modes = Split(value);
    else if (name == "--points")
      options.points = std::stoull(value);
    else if (name == "--resume")
      options.resume = value;
    else
      throw std::runtime_error("unknown option " + name);
  }
  for (++i; i < words.size(); ++i) options.command.push_back(words[i]);
  if (options.shim.empty() || options.out.empty() || options.modes.empty() ||
      options.command.empty()) {
    throw std::runtime_error("give --shim, --out, --modes and a command after --");
  }
  return options;
}

}  // namespace
}  // namespace lorikeet::faults

int main(int argc, char** argv) {
  try {
    const auto options = lorikeet::faults::ParseOptions({argv + 1, argv + argc});
    return lorikeet::faults::Tester(options).RunAll() ? 0 : 1;
  } catch (const std::exception& e) {
    std::cerr << "fault_points: " << e.what() << "\n";
    return 2;
  }
}
