#include "journal.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>

namespace lorikeet::faults {
namespace {

namespace fs = std::filesystem;

struct Node;
using NodePtr = std::shared_ptr<Node>;
using Names = std::map<std::string, NodePtr>;

// A file or a folder as programs see it, and as the disk has it. A change of a name is durable only
// when its folder is synced.
struct Node {
  bool folder = false;
  std::string content, synced_content;
  Names names, synced_names;
};

class Disk {
 public:
  Disk() { top_->folder = true; }

  void Apply(const JournalEntry& e) {
    const auto [parent, name] = Find(e.path);
    const NodePtr node = parent->names.contains(name) ? parent->names[name] : nullptr;
    if (e.operation == "mkdir") {
      if (node == nullptr) Add(parent, name)->folder = true;
    } else if (e.operation == "create" || e.operation == "touch") {
      if (node == nullptr)
        Add(parent, name);
      else if (e.operation == "create")
        node->content.clear();
    } else if (e.operation == "rename") {
      if (node == nullptr) return;
      const auto [to, new_name] = Find(e.other);
      parent->names.erase(name);
      to->names[new_name] = node;
    } else if (e.operation == "remove") {
      if (node != nullptr && node->names.empty()) parent->names.erase(name);
    } else if (node == nullptr) {
      return;  // an operation on a file that was removed while open
    } else if (e.operation == "write") {
      const auto offset = static_cast<size_t>(e.offset);
      if (node->content.size() < offset + e.bytes.size()) {
        node->content.resize(offset + e.bytes.size());
      }
      std::copy(e.bytes.begin(), e.bytes.end(), node->content.begin() + e.offset);
    } else if (e.operation == "truncate") {
      node->content.resize(static_cast<size_t>(e.offset));
    } else if (e.operation == "sync") {
      node->synced_content = node->content;
      node->synced_names = node->names;
    } else {
      throw std::runtime_error("no model of the operation " + e.operation);
    }
  }

  // Names below `root` only. root's own name counts as durable once its parent was synced.
  void Write(const std::string& root, Cut cut, std::mt19937_64& random) {
    const auto [parent, name] = Find(root);
    const Names kept = Survivors(*parent, cut, random);
    const auto found = kept.find(name);
    if (found != kept.end()) Write(*found->second, root, cut, random);
  }

 private:
  std::pair<NodePtr, std::string> Find(const std::string& path) {
    NodePtr node = top_;
    std::istringstream parts(path.substr(1));
    std::string part, last;
    std::getline(parts, last, '/');
    while (std::getline(parts, part, '/')) {
      NodePtr& next = node->names[last];
      if (next == nullptr) {  // a folder that was there before
        next = std::make_shared<Node>();
        next->folder = true;
        node->synced_names[last] = next;
      }
      node = next;
      last = part;
    }
    return {node, last};
  }

  static NodePtr Add(const NodePtr& parent, const std::string& name) {
    return parent->names[name] = std::make_shared<Node>();
  }

  static Names Survivors(const Node& node, Cut cut, std::mt19937_64& random) {
    Names kept = node.synced_names;
    if (cut == Cut::kStrict) return kept;
    Names all = node.synced_names;
    all.insert(node.names.begin(), node.names.end());
    for (const auto& [name, unused] : all) {
      const auto now = node.names.find(name), then = node.synced_names.find(name);
      const NodePtr after = now == node.names.end() ? nullptr : now->second;
      const NodePtr before = then == node.synced_names.end() ? nullptr : then->second;
      if (after == before || random() % 2 == 0) continue;
      if (after == nullptr)
        kept.erase(name);
      else
        kept[name] = after;
    }
    return kept;
  }

  static std::string Content(const Node& node, Cut cut, std::mt19937_64& random) {
    const std::string &now = node.content, &synced = node.synced_content;
    if (cut == Cut::kStrict || now == synced) return synced;
    if (!now.starts_with(synced)) return random() % 2 == 0 ? synced : now;
    std::string content =
        now.substr(0, synced.size() + random() % (now.size() - synced.size() + 1));
    if (random() % 2 == 0) content.resize(now.size());  // the length is there, and zeros
    return content;
  }

  static void Write(const Node& node, const std::string& path, Cut cut, std::mt19937_64& random) {
    if (!node.folder) {
      std::ofstream(path, std::ios::binary) << Content(node, cut, random);
      return;
    }
    fs::create_directories(path);
    for (const auto& [name, child] : Survivors(node, cut, random)) {
      Write(*child, path + "/" + name, cut, random);
    }
  }

  NodePtr top_ = std::make_shared<Node>();
};

}  // namespace

std::vector<JournalEntry> ReadJournal(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<JournalEntry> journal;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    JournalEntry entry;
    std::string offset, size;
    std::getline(fields, entry.operation, '\t');
    std::getline(fields, entry.path, '\t');
    std::getline(fields, entry.other, '\t');
    std::getline(fields, offset, '\t');
    std::getline(fields, size, '\t');
    if (size.empty()) throw std::runtime_error(path + ": not a journal: " + line);
    entry.offset = std::stoll(offset);
    entry.bytes.resize(std::stoull(size));
    file.read(entry.bytes.data(), static_cast<std::streamsize>(entry.bytes.size()));
    journal.push_back(std::move(entry));
  }
  return journal;
}

void MakeCutState(const std::vector<JournalEntry>& journal, size_t count, const std::string& root,
                  Cut cut, std::mt19937_64& random) {
  Disk disk;
  for (size_t i = 0; i < count; ++i) disk.Apply(journal[i]);
  disk.Write(root, cut, random);
}

}  // namespace lorikeet::faults
