// `RequestFields` reads the JSON object of a request: typed fields, with errors that name the field
// as OpenAI's do. A field that no reader has asked for is refused: what is asked is done or
// refused.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace lorikeet {

// The object that a request's body holds. Throws ApiError(400) unless it is JSON, an object, valid
// UTF-8, and no deeper than 100 levels.
OrderedJson ParseRequest(std::string_view body);

class RequestFields {
 public:
  // `path`: the place of the object in the request: "" or "response_format.json_schema". `json`
  // must outlive this. Throws ApiError(400) unless it is an object.
  explicit RequestFields(const OrderedJson& json, std::string path = "");

  // All count as asked for. A field that is null is absent. Wrong types and values out of range
  // throw ApiError(400) naming the field.
  const OrderedJson& Value(const std::string& key);  // null when absent
  bool Has(const std::string& key) { return !Value(key).is_null(); }
  std::optional<std::string> String(const std::string& key);
  std::optional<bool> Bool(const std::string& key);
  std::optional<int64_t> Int(const std::string& key, int64_t min, int64_t max);
  std::optional<double> Number(const std::string& key, double min, double max);
  std::string NeedString(const std::string& key);
  // A string or a list of strings and nulls, which are left out.
  std::vector<std::string> Strings(const std::string& key);

  // Fields that are accepted and change nothing here.
  void Ignore(std::initializer_list<const char*> keys);
  // Refuses each of these fields unless its value is one that changes nothing: null, false, 0, an
  // empty list or object, or "auto".
  void OnlyNeutral(std::initializer_list<const char*> keys);
  // Throws ApiError(400) naming the first field that was neither asked for nor ignored.
  void RefuseOthers() const;

  std::string Name(const std::string& key) const;  // with the path
  const OrderedJson& json() const { return json_; }

 private:
  const OrderedJson& json_;
  std::string path_;
  std::set<std::string> known_;
};

}  // namespace lorikeet
