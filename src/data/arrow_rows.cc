#include "data/arrow_rows.h"

#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

#ifdef LORIKEET_ARROW
#include <arrow/api.h>
#include <arrow/io/api.h>
#include <arrow/ipc/api.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>

#include <cmath>
#endif

namespace lorikeet {

#ifdef LORIKEET_ARROW
namespace {

using ArrowArray = arrow::Array;

[[noreturn]] void FailArrow(const std::string& path, const arrow::Status& status) {
  std::string what = status.message();
  what = what.substr(0, what.find('\n'));
  Fail(ErrorCode::kCorruptFile, "{}: Arrow cannot read it: {}", path, what);
}
template <class T>
T ValueOf(arrow::Result<T> result, const std::string& path) {
  if (!result.ok()) FailArrow(path, result.status());
  return std::move(result).ValueUnsafe();
}

void AppendElement(const ArrowArray& array, int64_t i, std::string* json);

// The elements [begin, end) of a list's values.
void AppendList(const ArrowArray& values, int64_t begin, int64_t end, std::string* json) {
  *json += '[';
  for (int64_t i = begin; i < end; ++i) {
    if (i > begin) *json += ',';
    AppendElement(values, i, json);
  }
  *json += ']';
}

void AppendStruct(const arrow::StructArray& array, int64_t i, std::string* json) {
  *json += '{';
  bool first = true;
  for (int f = 0; f < array.num_fields(); ++f) {
    const std::shared_ptr<ArrowArray> field = array.field(f);
    if (field->IsNull(i)) continue;
    if (!first) *json += ',';
    first = false;
    AppendJsonString(array.struct_type()->field(f)->name(), json);
    *json += ':';
    AppendElement(*field, i, json);
  }
  *json += '}';
}

void AppendNumber(double value, std::string* json) {
  *json += std::isfinite(value) ? fmt::format("{}", value) : "null";
}

template <class Array>
const Array& As(const ArrowArray& array) {
  return static_cast<const Array&>(array);
}

// Integers, dates and whatever else prints as one word; numbers without quotes.
void AppendScalar(const ArrowArray& array, int64_t i, std::string* json) {
  const auto scalar = array.GetScalar(i);
  const std::string text = scalar.ok() ? (*scalar)->ToString() : "";
  if (arrow::is_integer(array.type_id())) {
    *json += text;
  } else {
    AppendJsonString(text, json);
  }
}

void AppendElement(const ArrowArray& array, int64_t i, std::string* json) {
  if (array.IsNull(i)) {
    *json += "null";
    return;
  }
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      *json += As<arrow::BooleanArray>(array).Value(i) ? "true" : "false";
      return;
    case arrow::Type::FLOAT:
      return AppendNumber(As<arrow::FloatArray>(array).Value(i), json);
    case arrow::Type::DOUBLE:
      return AppendNumber(As<arrow::DoubleArray>(array).Value(i), json);
    case arrow::Type::STRING:
      return AppendJsonString(As<arrow::StringArray>(array).GetView(i), json);
    case arrow::Type::LARGE_STRING:
      return AppendJsonString(As<arrow::LargeStringArray>(array).GetView(i), json);
    case arrow::Type::STRING_VIEW:
      return AppendJsonString(As<arrow::StringViewArray>(array).GetView(i), json);
    case arrow::Type::BINARY:
      *json += fmt::format("{{\"bytes\":{}}}", As<arrow::BinaryArray>(array).GetView(i).size());
      return;
    case arrow::Type::LARGE_BINARY:
      *json +=
          fmt::format("{{\"bytes\":{}}}", As<arrow::LargeBinaryArray>(array).GetView(i).size());
      return;
    case arrow::Type::LIST: {
      const auto& list = As<arrow::ListArray>(array);
      return AppendList(*list.values(), list.value_offset(i), list.value_offset(i + 1), json);
    }
    case arrow::Type::LARGE_LIST: {
      const auto& list = As<arrow::LargeListArray>(array);
      return AppendList(*list.values(), list.value_offset(i), list.value_offset(i + 1), json);
    }
    case arrow::Type::FIXED_SIZE_LIST: {
      const auto& list = As<arrow::FixedSizeListArray>(array);
      return AppendList(*list.values(), list.value_offset(i), list.value_offset(i + 1), json);
    }
    case arrow::Type::STRUCT:
      return AppendStruct(As<arrow::StructArray>(array), i, json);
    case arrow::Type::DICTIONARY: {
      const auto& coded = As<arrow::DictionaryArray>(array);
      return AppendElement(*coded.dictionary(), coded.GetValueIndex(i), json);
    }
    default:
      return AppendScalar(array, i, json);
  }
}

// Checks offsets, lengths and indices first: Arrow takes them from the file as they are.
void AppendBatch(const arrow::RecordBatch& batch, const std::string& path, JsonLines* rows) {
  if (const arrow::Status status = batch.ValidateFull(); !status.ok()) FailArrow(path, status);
  for (int64_t i = 0; i < batch.num_rows(); ++i) {
    rows->source.push_back(std::ssize(rows->source) + 1);
    rows->text += '{';
    bool first = true;
    for (int c = 0; c < batch.num_columns(); ++c) {
      const std::shared_ptr<ArrowArray> column = batch.column(c);
      if (column->IsNull(i)) continue;
      if (!first) rows->text += ',';
      first = false;
      AppendJsonString(batch.schema()->field(c)->name(), &rows->text);
      rows->text += ':';
      AppendElement(*column, i, &rows->text);
    }
    rows->text += "}\n";
  }
}

void AppendAll(arrow::RecordBatchReader& reader, const std::string& path, JsonLines* rows) {
  while (true) {
    const auto batch = ValueOf(reader.Next(), path);
    if (batch == nullptr) return;
    AppendBatch(*batch, path, rows);
  }
}

std::shared_ptr<arrow::io::RandomAccessFile> Open(const std::string& path) {
  return ValueOf(arrow::io::ReadableFile::Open(path), path);
}

void AppendArrow(const std::string& path, JsonLines* rows) {
  const auto file = Open(path);
  const auto magic = ValueOf(file->ReadAt(0, 6), path);
  if (magic->ToString() != "ARROW1") {
    if (const arrow::Status status = file->Seek(0); !status.ok()) FailArrow(path, status);
    AppendAll(*ValueOf(arrow::ipc::RecordBatchStreamReader::Open(file), path), path, rows);
    return;
  }
  const auto reader = ValueOf(arrow::ipc::RecordBatchFileReader::Open(file), path);
  for (int i = 0; i < reader->num_record_batches(); ++i) {
    AppendBatch(*ValueOf(reader->ReadRecordBatch(i), path), path, rows);
  }
}

}  // namespace

JsonLines ParquetToJson(const std::string& path) {
  JsonLines rows;
  try {
    const auto reader =
        ValueOf(parquet::arrow::OpenFile(Open(path), arrow::default_memory_pool()), path);
    AppendAll(*ValueOf(reader->GetRecordBatchReader(), path), path, &rows);
  } catch (const parquet::ParquetException& e) {
    FailArrow(path, arrow::Status::Invalid(e.what()));
  }
  return rows;
}

JsonLines ArrowToJson(const std::string& path) {
  JsonLines rows;
  AppendArrow(path, &rows);
  return rows;
}

std::string ArrowVersion() { return "Arrow " + arrow::GetBuildInfo().version_string; }

#else

namespace {

[[noreturn]] void FailWithoutArrow(const std::string& path, const char* what,
                                   const std::string& python) {
  Fail(ErrorCode::kInvalidArgument,
       "{}: {} are read by builds with Arrow only (-DLORIKEET_ARROW_DIR, docs/building.md); or "
       "convert it: python -c \"{}\"",
       path, what, python);
}

void AppendArrow(const std::string& path, JsonLines* /*rows*/) {
  FailWithoutArrow(
      path, "Arrow files",
      "import datasets; datasets.Dataset.from_file('" + path + "').to_json('rows.jsonl')");
}

}  // namespace

JsonLines ParquetToJson(const std::string& path) {
  FailWithoutArrow(path, "Parquet files",
                   "import pandas; pandas.read_parquet('" + path +
                       "').to_json('rows.jsonl', orient='records', lines=True)");
}

JsonLines ArrowToJson(const std::string& path) {
  JsonLines rows;
  AppendArrow(path, &rows);
  return rows;
}

std::string ArrowVersion() { return "none"; }

#endif

bool IsDatasetFolder(const std::string& path) {
  return std::filesystem::is_regular_file(path + "/state.json");
}

JsonLines DatasetFolderToJson(const std::string& path) {
  const std::string where = path + "/state.json";
  const Json state = ParseJson(ReadFile(where), where);
  const auto files = state.find("_data_files");
  if (files == state.end() || !files->is_array() || files->empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: names no data files; give the folder of one split of a saved data set", where);
  }
#ifndef LORIKEET_ARROW
  FailWithoutArrow(
      path, "data sets in Arrow format",
      "import datasets; datasets.load_from_disk('" + path + "').to_json('rows.jsonl')");
#endif
  JsonLines rows;
  for (const Json& file : *files) {
    const auto name = file.find("filename");
    if (name == file.end() || !name->is_string()) {
      Fail(ErrorCode::kInvalidArgument, "{}: a data file has no filename", where);
    }
    AppendArrow(path + "/" + name->get<std::string>(), &rows);
  }
  return rows;
}

}  // namespace lorikeet
