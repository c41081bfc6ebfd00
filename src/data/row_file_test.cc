#include "data/row_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/error.h"
#include "core/json.h"
#include "data/arrow_rows.h"
#include "data/container.h"
#include "data/conversation.h"

namespace lorikeet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

const std::string kGolden = LORIKEET_SOURCE_DIR "/tests/golden/containers/";

std::string WriteTemp(const std::string& name, std::string_view content) {
  const std::string path = testing::TempDir() + std::to_string(getpid()) + "_" + name;
  WriteFileAtomically(path, content);
  return path;
}

// The file's rows as JSON, with the keys that are null left out.
std::vector<Json> RowsOf(const std::string& path) {
  const std::function<Json(const Json&)> without_nulls = [&](const Json& value) {
    if (!value.is_structured()) return value;
    Json result = value.is_array() ? Json::array() : Json::object();
    for (const auto& [key, element] : value.items()) {
      if (value.is_array()) {
        result.push_back(without_nulls(element));
      } else if (!element.is_null()) {
        result[key] = without_nulls(element);
      }
    }
    return result;
  };
  const RowFile file(path);
  std::vector<Json> rows;
  for (const Row& row : file.rows()) rows.push_back(without_nulls(Json::parse(row.text)));
  return rows;
}

std::vector<Json> CsvRows(const std::string& content, const std::string& name = "x.csv") {
  return RowsOf(WriteTemp(name, content));
}

auto FailsWith(const std::string& words) { return ThrowsMessage<Error>(HasSubstr(words)); }

TEST(DataInOtherContainers, PackedFilesAreUnpacked) {
  const std::vector<Json> rows = RowsOf(kGolden + "rows.jsonl");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(RowsOf(kGolden + "rows.jsonl.gz"), rows);
  EXPECT_EQ(RowsOf(kGolden + "rows.jsonl.zst"), rows);
  EXPECT_EQ(RowFile(kGolden + "rows.jsonl.gz").rows()[1].line, 2);
}

TEST(DataInOtherContainers, DamagedPackedFilesAreNamed) {
  for (const char* ending : {"gz", "zst"}) {
    const std::string whole = ReadFile(kGolden + "rows.jsonl." + ending);
    const std::string cut = WriteTemp(std::string("cut.") + ending, whole.substr(0, 100));
    EXPECT_THAT([&] { RowFile file(cut); }, FailsWith("damaged or cut short")) << ending;
    std::string flipped = whole;
    flipped[60] = static_cast<char>(flipped[60] ^ 0x55);
    const std::string damaged = WriteTemp(std::string("damaged.") + ending, flipped);
    EXPECT_THAT([&] { RowFile file(damaged); }, FailsWith("damaged or cut short")) << ending;
  }
}

TEST(DataInOtherContainers, CsvRowsAreObjectsOfTexts) {
  EXPECT_THAT(CsvRows("prompt,completion\n2+2? ,4\n"),
              ElementsAre(Json{{"prompt", "2+2? "}, {"completion", "4"}}));
  EXPECT_THAT(CsvRows("\xEF\xBB\xBFprompt,completion\r\n\"a, \"\"b\"\"\r\nc\",\\n\r\n\r\n,x"),
              ElementsAre(Json{{"prompt", "a, \"b\"\r\nc"}, {"completion", "\\n"}},
                          Json{{"completion", "x"}}));
  EXPECT_THAT(CsvRows("prompt;completion\na,b;c\n"),
              ElementsAre(Json{{"prompt", "a,b"}, {"completion", "c"}}));
  EXPECT_THAT(CsvRows("prompt\tcompletion\na,b\tc\n", "x.tsv"),
              ElementsAre(Json{{"prompt", "a,b"}, {"completion", "c"}}));
  EXPECT_THAT(
      CsvRows("messages,note\n\"[{\"\"role\"\": \"\"user\"\",\n\"\"content\"\": "
              "\"\"Hi\"\"}]\",[x]\n"),
      ElementsAre(Json{{"messages", {{{"role", "user"}, {"content", "Hi"}}}}, {"note", "[x]"}}));
  const RowFile file(WriteTemp("lines.csv", "text\n\"a\nb\"\nc\n"));
  EXPECT_EQ(file.rows()[0].line, 2);
  EXPECT_EQ(file.rows()[1].line, 4);
}

TEST(DataInOtherContainers, FaultsOfCsvNameTheLine) {
  const auto read = [](const std::string& content) { return [=] { CsvRows(content); }; };
  EXPECT_THAT(read("a,b\n1,2\n3\n"), FailsWith(":3: 1 values for 2 columns"));
  EXPECT_THAT(read("a,b\n1,\"2\n3\n"), FailsWith(":2: a quote that begins here does not close"));
  EXPECT_THAT(read("a,b\n1,\"2\"3\n"), FailsWith(":2: text after a closing quote"));
  EXPECT_THAT(read("a,a\n1,2\n"), FailsWith(":1: two columns are called 'a'"));
  EXPECT_THAT(read("a,\n1,2\n"), FailsWith(":1: a column without a name"));
  EXPECT_THAT(read("a,b\n"), FailsWith("holds no rows"));
}

TEST(DataInOtherContainers, PackedCsv) {
  const std::string packed = testing::TempDir() + std::to_string(getpid()) + "_packed.csv.zst";
  // A raw zstd block: magic, descriptor of one byte of size, size 4, last raw block of 4 bytes.
  WriteFileAtomically(packed, std::string("\x28\xB5\x2F\xFD\x20\x04\x21\x00\x00t\n1\n", 13));
  EXPECT_THAT(RowsOf(packed), ElementsAre(Json{{"t", "1"}}));
}

TEST(DataInOtherContainers, ArraysSayWhatIsWrongAndMayBeWrapped) {
  const auto cut = [](std::string_view text) { return [text] { CutRows(text, "f.json"); }; };
  EXPECT_THAT(cut("[\n{\"a\": 1},\n]"), FailsWith("f.json:3: a comma before the array's ']'"));
  const auto rows = CutRows("{\"data\": [\n{\"a\": 1},\n{\"a\": 2}]}\n", "f.json");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].text, "{\"a\": 2}");
  EXPECT_EQ(rows[1].line, 3);
  EXPECT_EQ(CutRows("{\"data\": [{\"a\": 1}]}\n{\"data\": [{\"a\": 1}]}\n", "f").size(), 2U);
  EXPECT_EQ(CutRows("{\"data\": [1, 2]}", "f").size(), 1U);  // a row whose own key it is
  EXPECT_EQ(CutRows("{\"messages\": [{\"role\": \"user\"}]}", "f").size(), 1U);
  EXPECT_EQ(CutRows("{\"data\": [{\"a\": 1}", "f").size(), 1U);
}

TEST(DataInOtherContainers, OthersAreNamedWithWhatToDo) {
  const auto open = [](const std::string& name, std::string_view content) {
    const std::string path = WriteTemp(name, content);
    return [path] { RowFile file(path); };
  };
  EXPECT_THAT(open("a.xlsx", "PK\x03\x04..."), FailsWith("a zip archive or an Excel file"));
  EXPECT_THAT(open("a.xz", std::string_view("\xFD"
                                            "7zXZ\0",
                                            6)),
              FailsWith("xz --decompress it"));
  EXPECT_THAT(open("a.db", "SQLite format 3"), FailsWith("an SQLite database"));
  EXPECT_THAT(open("a.txt", "prompt,completion\na,b\n"),
              FailsWith(":1: no JSON but 'prompt,completion'; expected one JSON object per line"));
  EXPECT_THAT([] { RowFile file(kGolden); }, FailsWith("is a folder; name the data files in it"));
}

TEST(DataInOtherContainers, ParquetAndArrow) {
  const std::string parquet = kGolden + "rows.parquet", arrow = kGolden + "rows.arrow",
                    folder = kGolden + "dataset";
  if (ArrowVersion() == "none") {
    EXPECT_THAT([&] { RowFile file(parquet); }, FailsWith("pandas.read_parquet('" + parquet));
    EXPECT_THAT([&] { RowFile file(arrow); }, FailsWith("datasets.Dataset.from_file('" + arrow));
    EXPECT_THAT([&] { RowFile file(folder); }, FailsWith("datasets.load_from_disk('" + folder));
    return;
  }
  const std::vector<Json> rows = RowsOf(kGolden + "rows.jsonl");
  EXPECT_EQ(RowsOf(parquet), rows);
  EXPECT_EQ(RowsOf(arrow), rows);
  EXPECT_EQ(RowsOf(folder), rows);
  const std::string damaged =
      WriteTemp("damaged.parquet", ReadFile(parquet).substr(0, 1000) + "PAR1");
  EXPECT_THAT([&] { RowFile file(damaged); }, FailsWith("Arrow cannot read it"));
}

TEST(DataInOtherContainers, AllGiveTheSameConversations) {
  const std::vector<Record> plain = ReadRecords(kGolden + "rows.jsonl");
  ASSERT_EQ(plain.size(), 2U);
  EXPECT_EQ(plain[1].messages[0].content,
            "Gr\xC3\xBC\xC3\x9F"
            "e, \xD0\xBC\xD0\xB8\xD1\x80 \xE4\xBD\xA0\xE5\xA5\xBD");
  const std::vector<Record> packed = ReadRecords(kGolden + "rows.jsonl.gz");
  ASSERT_EQ(packed.size(), 2U);
  EXPECT_EQ(packed[1].messages[0].content, plain[1].messages[0].content);
}

}  // namespace
}  // namespace lorikeet
