#include "data/container.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "core/format.h"
#include "core/machine.h"

namespace lorikeet {
namespace {

constexpr size_t kPiece = size_t{1} << 20;  // bytes unpacked at once

// Appends to the text while memory lasts.
class Unpacked {
 public:
  explicit Unpacked(const std::string& name) : name_(name) {}
  void Append(const std::string& piece, size_t bytes) {
    if (text_.size() / kCheck != (text_.size() + bytes) / kCheck) CheckMemory();
    text_.append(piece, 0, bytes);
  }
  std::string Take() { return std::move(text_); }

 private:
  static constexpr size_t kCheck = size_t{256} << 20;
  void CheckMemory() const {
    const auto grown = static_cast<int64_t>(2 * text_.size());  // a string doubles
    if (grown < ReadMemory().available) return;
    Fail(ErrorCode::kOutOfMemory,
         "{}: unpacks to more than {}, and memory is short; unpack it to a file first", name_,
         HumanBytes(static_cast<int64_t>(text_.size())));
  }
  const std::string& name_;
  std::string text_;
};

[[noreturn]] void FailDamaged(const std::string& name, const char* what) {
  Fail(ErrorCode::kCorruptFile, "{}: damaged or cut short ({}); make or download it again", name,
       what);
}

std::string Gunzip(std::string_view content, const std::string& name) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) FailDamaged(name, "zlib");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  Unpacked unpacked(name);
  std::string piece(kPiece, '\0');
  size_t read = 0;
  int status = Z_OK;
  while (read < content.size() || status == Z_OK) {
    const size_t given = std::min(content.size() - read, kPiece);
    stream.next_in =
        reinterpret_cast<Bytef*>(const_cast<char*>(content.data() + read));  // NOLINT: zlib's type
    stream.avail_in = static_cast<uInt>(given);
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    status = inflate(&stream, Z_NO_FLUSH);
    read += given - stream.avail_in;
    unpacked.Append(piece, piece.size() - stream.avail_out);
    if (status == Z_STREAM_END) {
      // The next member; zeros behind the last one are padding.
      while (read < content.size() && content[read] == '\0') ++read;
      if (read == content.size()) break;
      if (inflateReset(&stream) != Z_OK) FailDamaged(name, "zlib");
      status = Z_OK;
    } else if (status != Z_OK) {
      FailDamaged(name, status == Z_BUF_ERROR ? "the gzip data ends early" : "gzip data");
    }
  }
  return unpacked.Take();
}

std::string Unzstd(std::string_view content, const std::string& name) {
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                   ZSTD_freeDCtx);
  if (context == nullptr) Fail(ErrorCode::kOutOfMemory, "{}: no memory to unpack it", name);
  Unpacked unpacked(name);
  std::string piece(kPiece, '\0');
  ZSTD_inBuffer in = {content.data(), content.size(), 0};
  size_t missing = 1;
  while (in.pos < in.size || missing != 0) {
    ZSTD_outBuffer out = {piece.data(), piece.size(), 0};
    const size_t before = in.pos;
    missing = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(missing) != 0) FailDamaged(name, ZSTD_getErrorName(missing));
    unpacked.Append(piece, out.pos);
    if (in.pos == before && out.pos == 0 && missing != 0) {
      FailDamaged(name, "the zstd data ends early");
    }
  }
  return unpacked.Take();
}

std::string Lowered(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// Other containers, by their first bytes, and how to get rows out of them.
struct Foreign {
  std::string_view first;
  const char* what;
  const char* advice;
};
constexpr Foreign kForeign[] = {
    {"PK\x03\x04", "a zip archive or an Excel file", "unzip it, or export the sheet as CSV"},
    {"\xFD"
     "7zXZ",
     "xz-compressed", "xz --decompress it"},
    {"BZh", "bzip2-compressed", "bunzip2 it"},
    {"SQLite format 3", "an SQLite database", "export the table as CSV or JSONL"},
    {"\x93NUMPY", "a NumPy array", "save the rows as JSONL"},
    {"\x80\x04\x95", "a Python pickle", "save the rows as JSONL"},
};

}  // namespace

std::string NameWithoutPacking(const std::string& name) {
  const std::string lowered = Lowered(name);
  for (const std::string_view ending : {".gz", ".zst", ".zstd"}) {
    if (lowered.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  }
  return name;
}

Container ContainerOf(std::string_view content, const std::string& name) {
  if (content.starts_with("\x1F\x8B")) return Container::kGzip;
  if (content.starts_with("\x28\xB5\x2F\xFD")) return Container::kZstd;
  if (content.starts_with("PAR1")) return Container::kParquet;
  if (content.starts_with("ARROW1") || content.starts_with("\xFF\xFF\xFF\xFF")) {
    return Container::kArrow;
  }
  for (const Foreign& foreign : kForeign) {
    if (!content.starts_with(foreign.first)) continue;
    Fail(ErrorCode::kInvalidArgument, "{}: is {}, which is not read; {}", name, foreign.what,
         foreign.advice);
  }
  const std::string lowered = Lowered(NameWithoutPacking(name));
  if (lowered.ends_with(".csv")) return Container::kCsv;
  if (lowered.ends_with(".tsv")) return Container::kTsv;
  return Container::kText;
}

std::string Unpack(Container container, std::string_view content, const std::string& name) {
  return container == Container::kGzip ? Gunzip(content, name) : Unzstd(content, name);
}

}  // namespace lorikeet
