#include "core/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A second, independent reading of what the writer wrote.
struct DecodedEvent {
  double wall_time = 0;
  int64_t step = 0;
  std::string file_version;
  uint64_t session_status = 0;
  std::vector<std::pair<std::string, float>> scalars;
};

class ProtoReader {
 public:
  explicit ProtoReader(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return at_ == bytes_.size(); }
  std::pair<uint32_t, uint32_t> Tag() {
    const uint64_t tag = Varint();
    return {static_cast<uint32_t>(tag >> 3), static_cast<uint32_t>(tag & 7)};
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(bytes_.at(at_++));
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    throw std::runtime_error("varint without end");
  }
  template <class T>
  T Fixed() {
    T value;
    std::memcpy(&value, bytes_.substr(at_, sizeof(T)).data(), sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::string_view Bytes() {
    const size_t size = Varint();
    const std::string_view bytes = bytes_.substr(at_, size);
    EXPECT_EQ(bytes.size(), size);
    at_ += size;
    return bytes;
  }

 private:
  std::string_view bytes_;
  size_t at_ = 0;
};

std::pair<std::string, float> DecodeValue(std::string_view bytes) {
  std::pair<std::string, float> value;
  for (ProtoReader reader(bytes); !reader.done();) {
    const auto tag = reader.Tag();
    if (tag == std::pair(1U, 2U))
      value.first = reader.Bytes();
    else if (tag == std::pair(2U, 5U))
      value.second = reader.Fixed<float>();
    else
      ADD_FAILURE() << "field " << tag.first;
  }
  return value;
}

DecodedEvent DecodeEvent(std::string_view bytes) {
  DecodedEvent event;
  for (ProtoReader reader(bytes); !reader.done();) {
    const auto [field, wire] = reader.Tag();
    if (field == 1)
      event.wall_time = reader.Fixed<double>();
    else if (field == 2)
      event.step = static_cast<int64_t>(reader.Varint());
    else if (field == 3)
      event.file_version = reader.Bytes();
    else if (field == 7) {
      ProtoReader log(reader.Bytes());
      EXPECT_EQ(log.Tag(), std::pair(1U, 0U));
      event.session_status = log.Varint();
    } else if (field == 5) {
      for (ProtoReader summary(reader.Bytes()); !summary.done();) {
        EXPECT_EQ(summary.Tag(), std::pair(1U, 2U));
        event.scalars.push_back(DecodeValue(summary.Bytes()));
      }
    } else {
      ADD_FAILURE() << "field " << field << " of wire type " << wire;
    }
  }
  return event;
}

std::vector<DecodedEvent> DecodeFile(const std::string& path) {
  const std::string bytes = ReadFile(path);
  std::vector<DecodedEvent> events;
  for (size_t at = 0; at < bytes.size();) {
    const std::string_view head = std::string_view(bytes).substr(at, 12);
    const auto size = ProtoReader(head).Fixed<uint64_t>();
    EXPECT_EQ(ProtoReader(head.substr(8)).Fixed<uint32_t>(), MaskedCrc32c(head.substr(0, 8)));
    const std::string_view event = std::string_view(bytes).substr(at + 12, size);
    EXPECT_EQ(ProtoReader(std::string_view(bytes).substr(at + 12 + size)).Fixed<uint32_t>(),
              MaskedCrc32c(event));
    events.push_back(DecodeEvent(event));
    at += 16 + size;
  }
  return events;
}

std::string FreshFolder(const std::string& name) {
  std::string dir = ::testing::TempDir() + "/metrics_test_" + name;
  std::filesystem::remove_all(dir);
  return dir;
}

std::vector<std::string> EventFiles(const std::string& dir) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir + "/runs"))
    files.push_back(entry.path().string());
  return files;
}

TEST(Crc32c, KnownAnswers) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283U);            // the check value of CRC-32/ISCSI
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(Crc32c(""), 0U);
}

TEST(Crc32c, TheCpuAndTheTablesAgree) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Crc32c(bytes), PortableCrc32c(bytes)) << i;
    bytes += static_cast<char>(i * 37 + 11);
  }
}

TEST(Metrics, LinesAreJsonWhateverTheValues) {
  EXPECT_EQ(
      MetricsLine(3, {{"loss", 2.5}, {"num_tokens", 123456789012.0}, {"learning_rate", 1e-5}}),
      "{\"step\":3,\"loss\":2.5,\"num_tokens\":123456789012,\"learning_rate\":1e-05}\n");
  const std::string line =
      MetricsLine(1, {{"a", NAN}, {"b", INFINITY}, {"c", -INFINITY}, {"d", 1e300}, {"e", -0.0}});
  const Json json = ParseJson(line, "line");
  EXPECT_TRUE(json["a"].is_null());
  EXPECT_TRUE(json["b"].is_null());
  EXPECT_TRUE(json["c"].is_null());
  EXPECT_EQ(json["d"], 1e300);
  EXPECT_EQ(MetricsLine(1, {{"\xff\"", 1}}).find('\n'), MetricsLine(1, {{"\xff\"", 1}}).size() - 1);
}

TEST(Metrics, TagsFollowOtherTrainers) {
  EXPECT_EQ(TensorBoardTag("loss"), "train/loss");
  EXPECT_EQ(TensorBoardTag("eval_loss"), "eval/loss");
  EXPECT_EQ(TensorBoardTag("rewards/length/mean"), "rewards/length/mean");
}

TEST(Metrics, EventFileReadsBack) {
  const std::string dir = FreshFolder("events");
  {
    MetricsWriter writer({.dir = dir});
    writer.Write(1, {{"loss", 2.5}, {"eval_loss", 1e-3}});
    writer.Write(int64_t{1} << 40, {{std::string(300, 'x'), NAN}});
    writer.Sync();
  }
  const auto files = EventFiles(dir);
  ASSERT_EQ(files.size(), 1U);
  EXPECT_THAT(files[0], HasSubstr("events.out.tfevents."));
  const auto events = DecodeFile(files[0]);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_GT(events[0].wall_time, 1.6e9);
  EXPECT_EQ(events[1].step, 1);
  EXPECT_THAT(events[1].scalars,
              ElementsAre(std::pair("train/loss", 2.5F), std::pair("eval/loss", 1e-3F)));
  EXPECT_EQ(events[2].step, int64_t{1} << 40);
  EXPECT_TRUE(std::isnan(events[2].scalars.at(0).second));
  EXPECT_EQ(events[2].scalars.at(0).first.size(), 306U);
}

TEST(Metrics, ResumingDropsLaterAndHalfWrittenLines) {
  const std::string dir = FreshFolder("resume");
  {
    MetricsWriter writer({.dir = dir});
    for (int step = 1; step <= 5; ++step) writer.Write(step, {{"loss", step + 0.5}});
  }
  std::ofstream(dir + "/metrics.jsonl", std::ios::app) << "not json\n{\"step\":2,\"lo";
  {
    MetricsWriter writer({.dir = dir, .steps_done = 3});
    writer.Write(4, {{"loss", 40.5}});
  }
  EXPECT_EQ(ReadFile(dir + "/metrics.jsonl"),
            "{\"step\":1,\"loss\":1.5}\n{\"step\":2,\"loss\":2.5}\n{\"step\":3,\"loss\":3.5}\n"
            "{\"step\":4,\"loss\":40.5}\n");
  bool session_started = false;
  for (const std::string& file : EventFiles(dir)) {
    for (const DecodedEvent& event : DecodeFile(file)) {
      if (event.session_status == 1) session_started = event.step == 4;
    }
  }
  EXPECT_TRUE(session_started);
}

TEST(Metrics, AFreshRunStartsAnEmptyFileAndTensorBoardCanBeOff) {
  const std::string dir = FreshFolder("fresh");
  MetricsWriter({.dir = dir, .tensorboard = false}).Write(1, {{"loss", 1}});
  MetricsWriter({.dir = dir, .tensorboard = false}).Write(7, {{"loss", 2}});
  EXPECT_EQ(ReadFile(dir + "/metrics.jsonl"), "{\"step\":7,\"loss\":2}\n");
  EXPECT_FALSE(std::filesystem::exists(dir + "/runs"));
}

TEST(Metrics, AFolderThatCannotBeIsAnError) {
  EXPECT_THROW(MetricsWriter({.dir = "/proc/nowhere"}), Error);
}

}  // namespace
}  // namespace lorikeet
