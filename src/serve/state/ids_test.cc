#include "serve/state/ids.h"

#include <gtest/gtest.h>

#include <set>

namespace lorikeet {
namespace {

TEST(Ids, AreOfTheirKindAndNeverRepeat) {
  std::set<std::string> seen;
  for (const IdKind kind : {IdKind::kFile, IdKind::kJob, IdKind::kEvent, IdKind::kCheckpoint}) {
    for (int i = 0; i < 1000; ++i) {
      const std::string id = NewId(kind);
      EXPECT_TRUE(IsId(kind, id)) << id;
      EXPECT_TRUE(seen.insert(id).second) << id;
    }
  }
  EXPECT_FALSE(IsId(IdKind::kJob, NewId(IdKind::kFile)));
}

// Every place of an id takes every character: 130 random bits.
TEST(Ids, UseAllCharactersInAllPlaces) {
  std::set<std::pair<size_t, char>> seen;
  for (int i = 0; i < 2000; ++i) {
    const std::string id = NewId(IdKind::kFile).substr(IdPrefix(IdKind::kFile).size());
    for (size_t place = 0; place < id.size(); ++place) seen.emplace(place, id[place]);
  }
  EXPECT_EQ(seen.size(), 26u * 32u);
}

TEST(Ids, TextsThatCouldBecomePathsAreNone) {
  const std::string good = NewId(IdKind::kFile);
  for (std::string text :
       {std::string(), std::string("file-"), std::string("../../etc/passwd"),
        std::string("/etc/passwd"), std::string("file-../../../../etc/passwd..."),
        std::string("file-/etc/passwd/././././././"), good + "/", good + ".tmp", good + "a",
        good.substr(0, good.size() - 1), good.substr(0, good.size() - 1) + "/",
        good.substr(0, good.size() - 1) + ".", good.substr(0, good.size() - 1) + "A",
        good.substr(0, good.size() - 1) + std::string(1, '\0'), good + std::string(1, '\0'),
        "F" + good.substr(1), " " + good, std::string(1 << 20, 'a'),
        "file-" + std::string(1 << 20, 'a')}) {
    EXPECT_FALSE(IsId(IdKind::kFile, text)) << text.substr(0, 80);
  }
}

}  // namespace
}  // namespace lorikeet
