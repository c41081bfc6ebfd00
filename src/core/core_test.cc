#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/bus_error.h"
#include "core/error.h"
#include "core/file.h"
#include "core/float16.h"
#include "core/folder_lock.h"
#include "core/folders.h"
#include "core/json.h"
#include "core/machine.h"
#include "core/memory_file.h"
#include "core/random.h"
#include "core/temporary_folder_for_test.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

TEST(Float16, HalfRoundTripsEveryFiniteValue) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float16 half{static_cast<uint16_t>(bits)};
    const float value = ToFloat(half);
    if (std::isnan(value)) continue;
    EXPECT_EQ(ToFloat16(value).bits, half.bits) << bits;
  }
}

TEST(Float16, BfloatRoundsToNearestEven) {
  EXPECT_EQ(ToFloat(ToBfloat16(1.0F + 0x1p-8F)), 1.0F);                      // tie to even
  EXPECT_EQ(ToFloat(ToBfloat16(1.0F + 0x1p-7F + 0x1p-8F)), 1.0F + 0x1p-6F);  // tie to even, up
  EXPECT_EQ(ToFloat(ToBfloat16(1.0F + 0x1.8p-8F)), 1.0F + 0x1p-7F);
  EXPECT_TRUE(std::isnan(ToFloat(ToBfloat16(NAN))));
  EXPECT_TRUE(std::isinf(ToFloat(ToBfloat16(3.4e38F))));
}

TEST(Arena, GivesBackWhatWasTakenInAScopeAndRemembersTheHighMark) {
  Arena arena(1 << 20);
  const Tensor a = arena.Take("a", DType::kF32, {16, 4});
  EXPECT_EQ(a.bytes(), 256);
  {
    const ArenaScope scope(arena);
    arena.Take("b", DType::kBF16, {1000});
  }
  EXPECT_EQ(arena.Mark(), 256U);
  EXPECT_EQ(arena.HighMark(), 256U + 2048U);
  ASSERT_EQ(arena.HoldingsAtHighMark().size(), 2U);
  EXPECT_EQ(arena.HoldingsAtHighMark()[0].name, "b");
}

TEST(TensorPool, GivesZeroedAlignedTensorsThatDoNotOverlap) {
  TensorPool pool;
  std::vector<Tensor> tensors;
  for (const int64_t size : {3, 1000, 1 << 23, 17, 0, 1 << 22, 9 << 20, 1}) {  // beyond one slab
    tensors.push_back(pool.Take(DType::kF32, {size}));
  }
  float mark = 0;
  for (const Tensor& t : tensors) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(t.data) % 64, 0U);
    if (t.size() == 0) continue;
    EXPECT_EQ(t.as<float>()[0], 0);
    EXPECT_EQ(t.as<float>()[t.size() - 1], 0);
    t.as<float>()[0] = t.as<float>()[t.size() - 1] = ++mark;
  }
  mark = 0;
  for (const Tensor& t : tensors) {
    if (t.size() == 0) continue;
    EXPECT_EQ(t.as<float>()[0], ++mark);
    EXPECT_EQ(t.as<float>()[t.size() - 1], mark);
  }
}

TEST(MappedFile, WhatIsForgottenLeavesMemoryAndCanBeReadAgain) {
  const std::string path = ::testing::TempDir() + "lorikeet_forget_" + std::to_string(getpid());
  const std::string content(size_t{16} << 20, 'x');
  {
    std::ofstream(path) << content;
    const MappedFile file(path);
    EXPECT_EQ(std::memcmp(file.data(), content.data(), content.size()), 0);
    const int64_t touched = ResidentBytes();
    file.Forget(file.data() + 100, file.size() - 100);
    EXPECT_LT(ResidentBytes(), touched - (8 << 20));
    EXPECT_EQ(std::memcmp(file.data(), content.data(), content.size()), 0);
    std::vector<char> own(1 << 20, 'y');  // no part of the file: left alone
    file.Forget(own.data(), own.size());
    EXPECT_EQ(std::count(own.begin(), own.end(), 'y'), 1 << 20);
  }
  std::filesystem::remove(path);
}

// git_lfs_pointers: whatever file it stands for.
TEST(MappedFile, GitLfsPointersAndErrorPagesAreNamed) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& content) -> std::string {
    const std::string path = folder / "tokenizer.json";
    WriteFileAtomically(path, content);
    try {
      ParseJson(ReadFile(path), path);
    } catch (const Error& e) {
      EXPECT_TRUE(std::string_view(e.what()).starts_with(path));
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 17098251\n"),
              testing::HasSubstr("a Git LFS pointer, not the file itself; run git lfs pull"));
  for (const char* page : {"<html><body>404</body></html>", "\n <!DOCTYPE html>\n<html>"}) {
    EXPECT_THAT(error(page), testing::HasSubstr("an HTML page, not the file itself"));
  }
  EXPECT_EQ(error("{}"), "");
  EXPECT_THAT(error("version 2"), testing::HasSubstr("not valid JSON"));
}

TEST(FolderLock, IsForOneHolderAtATime) {
  const TemporaryFolder folder("lock");
  const auto present = [&] { return std::filesystem::exists(folder / "lock"); };
  {
    const FolderLock first(folder.path());
    EXPECT_TRUE(first.held());
    const FolderLock second(folder.path());
    EXPECT_FALSE(second.held());
    EXPECT_EQ(second.holder(), "process " + std::to_string(getpid()));
    EXPECT_TRUE(present());
  }
  EXPECT_FALSE(present());
  std::ofstream(folder / "lock") << "0000000001\n";  // left by a process that was killed
  FolderLock third(folder.path(), FolderLock::After::kKeep);
  EXPECT_TRUE(third.held());
  {
    const FolderLock moved = std::move(third);
    EXPECT_TRUE(moved.held());
    EXPECT_FALSE(FolderLock(folder.path()).held());
  }
  EXPECT_TRUE(present());
  EXPECT_TRUE(FolderLock(folder.path()).held());
}

// Whatever fails on the way, the old content stays and nothing else is left.
TEST(WriteAtomically, AWriterThatThrowsLeavesNothing) {
  const TemporaryFolder folder("throws");
  const auto names = [&] {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
      found.push_back(std::filesystem::relative(entry.path(), folder.path()).string());
    }
    std::sort(found.begin(), found.end());
    return found;
  };
  using Names = std::vector<std::string>;
  WriteFileAtomically(folder / "file", "old");
  const auto throws = [](int fd) {
    WriteAll(fd, "new", 3, "file");
    throw std::runtime_error("no more");
  };
  EXPECT_THROW(WriteFileAtomically(folder / "file", throws), std::runtime_error);
  EXPECT_EQ(names(), Names({"file"}));
  EXPECT_EQ(ReadFile(folder / "file"), "old");
  std::filesystem::create_directories(folder / "full/of");  // cannot be replaced by a file
  EXPECT_THROW(WriteFileAtomically(folder / "full", "new"), Error);
  EXPECT_EQ(names(), Names({"file", "full", "full/of"}));
  const auto fill = [](const std::string& tmp) {
    WriteFileAtomically(tmp + "/part", "new");
    throw std::runtime_error("no more");
  };
  EXPECT_THROW(WriteFolderAtomically(folder / "full", fill), std::runtime_error);
  EXPECT_EQ(names(), Names({"file", "full", "full/of"}));
  EXPECT_THROW(WriteFolderAtomically(folder / "new", fill), std::runtime_error);
  EXPECT_EQ(names(), Names({"file", "full", "full/of"}));
}

TEST(RemoveFolderAtomically, LeavesNothingAndTakesUpWhatWasLeft) {
  const TemporaryFolder folder("remove");
  std::filesystem::create_directories(folder / "a/b");
  std::filesystem::create_directories(folder / "a.tmp/c");
  EXPECT_TRUE(RemoveFolderAtomically(folder / "a"));
  EXPECT_FALSE(RemoveFolderAtomically(folder / "a"));  // there is none
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(CreateFolders, MakesParentsAndKeepsWhatIsThere) {
  const TemporaryFolder folder("create");
  CreateFolders(folder / "a/b/c/");
  CreateFolders(folder / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
  std::ofstream(folder / "file") << "x";
  EXPECT_THROW(CreateFolders(folder / "file/d"), Error);
  EXPECT_THROW(CreateFolders(folder / "file"), Error);
}

TEST(MappedFileDeathTest, OneThatIsCutShortIsNamed) {
  const TemporaryFolder folder("cut");
  std::ofstream(folder / "base") << std::string(1 << 20, 'x');
  const auto read_the_end = [&] {
    InstallBusErrorHandler();
    const MappedFile file(folder / "base");
    std::filesystem::resize_file(folder / "base", 100);
    std::fputc(static_cast<int>(file.data()[file.size() - 1]), stderr);
  };
  EXPECT_EXIT(read_the_end(), ::testing::ExitedWithCode(1), "base: cannot be read any more");
}

TEST(MemoryFile, IsReadByItsName) {
  const MemoryFile file("text");
  EXPECT_EQ(ReadFile(file.path()), "text");
}

TEST(RandomStream, DependsOnEveryPartOfItsKeyAndOnNothingElse) {
  std::set<uint64_t> seen;
  for (const uint64_t seed : {0, 1})
    for (const char* purpose : {"lora_a", "shuffle"})
      for (const char* name : {"", "q_proj"})
        for (const uint64_t step : {0, 1})
          for (const uint64_t index : {0, 1}) {
            const RandomStream stream(seed, purpose, name, step);
            seen.insert(stream.Bits(index));
            EXPECT_EQ(stream.Bits(index), RandomStream(seed, purpose, name, step).Bits(index));
          }
  EXPECT_EQ(seen.size(), 32U);
}

TEST(RandomStream, IsUniform) {
  const RandomStream stream(7, "test");
  constexpr int kCount = 100000;
  double sum = 0, sum_of_squares = 0;
  int buckets[10] = {};
  for (int i = 0; i < kCount; ++i) {
    const double u = stream.Uniform(i);
    sum += u;
    sum_of_squares += u * u;
    ++buckets[stream.Below(i, 10)];
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.005);
  EXPECT_NEAR(sum_of_squares / kCount, 1.0 / 3, 0.005);
  for (const int bucket : buckets) EXPECT_NEAR(bucket, kCount / 10, 500);
}

TEST(Json, DeepNestingIsAnErrorAndBracketsInStringsDoNotCount) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_THROW(ParseJson(deep, "deep.json"), Error);
  EXPECT_THROW(ParseJson("{\"a\": ", "cut.json"), Error);
  const std::string text = "\"" + std::string(1000, '[') + "\\\"" + "\"";
  EXPECT_EQ(ParseJson(text, "text.json").get<std::string>(), std::string(1000, '[') + "\"");
}

TEST(Json, AnOrderedObjectWithManyKeysIsReadAsAnyOther) {
  constexpr int kKeys = 300'000;  // took minutes when each was compared with all others
  std::string text = "{";
  for (int i = 0; i < kKeys; ++i)
    text += "\"" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  const OrderedJson json = ParseOrderedJson(text + "\"7\":[{\"b\":1,\"a\":{},\"b\":2}]}", "row");
  ASSERT_EQ(json.size(), kKeys);
  EXPECT_EQ(json.begin().key(), "0");
  EXPECT_EQ(json["123456"], 123456);
  EXPECT_EQ(json["7"].dump(), R"([{"b":2,"a":{}}])");
  for (const char* other : {"null", "3", "-1.5e3", "\"x\"", "[]", "[1,[2,{\"k\":null}],true]"}) {
    EXPECT_EQ(ParseOrderedJson(other, "row"), OrderedJson::parse(other));
  }
}

TEST(Json, ErrorsAreOneLineOfValidText) {
  for (const std::string& bad :
       {std::string("{\"a\": \xff\x1b"), std::string("[1,]\n"), std::string("\"\xc3\""),
        std::string("{} x"), std::string("1e999")}) {
    try {
      ParseOrderedJson(bad, "row");
      ADD_FAILURE() << bad;
    } catch (const Error& e) {
      EXPECT_TRUE(IsValidUtf8(e.what()));
      EXPECT_EQ(std::string_view(e.what()).find_first_of("\x1b\n"), std::string_view::npos);
    }
  }
}

}  // namespace
}  // namespace lorikeet
