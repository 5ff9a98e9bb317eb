#pragma once
// Lists the fields of a struct with their values. Private to core.
#include <string>
#include <string_view>
#include <vector>

#include "core/config_file.h"

namespace panther::detail {

struct ListedField {
  std::string name;   ///< "lr"
  std::string key;    ///< "optim.lr", "sketch[0].match"
  std::string type;   ///< boolean, integer, number, text, integers, numbers, texts, tables
  std::string value;  ///< as TOML
  std::string json;   ///< as JSON
  FieldInfo info;
};

struct ListedSection {
  std::string key;  ///< "" for the root
  std::string help;
  bool array = false;
  std::size_t index = 0;
  std::vector<ListedField> fields;
  std::vector<ListedSection> children;
};

class FieldLister final : public FieldVisitor {
 public:
  /// Arrays of tables: their elements, or one element with the defaults of its type under the key `name[]`.
  enum class Elements { of_value, of_type };
  explicit FieldLister(Elements elements);
  const ListedSection& root() const { return sections_.front(); }

  void field(std::string_view name, bool& value, const FieldInfo& info) override;
  void field(std::string_view name, std::int64_t& value, const FieldInfo& info) override;
  void field(std::string_view name, double& value, const FieldInfo& info) override;
  void field(std::string_view name, std::string& value, const FieldInfo& info) override;
  void field(std::string_view name, std::vector<double>& value, const FieldInfo& info) override;
  void field(std::string_view name, std::vector<std::int64_t>& value, const FieldInfo& info) override;
  void field(std::string_view name, std::vector<std::string>& value, const FieldInfo& info) override;

 protected:
  void begin_section(std::string_view name, std::string_view help) override;
  void end_section() override;
  void array_section(std::string_view name, std::string_view help, const ArrayAccess& array) override;

 private:
  template <class T>
  void add(std::string_view name, const char* type, const T& value, const FieldInfo& info);
  void enter(std::string_view name, std::string key_suffix, std::string_view help, bool array, std::size_t index);
  ListedSection& at();

  Elements elements_;
  std::vector<ListedSection> sections_;  // the root alone
  std::vector<std::size_t> path_;        // from the root to the open section
};

ListedSection list_fields(const VisitFields& visit, FieldLister::Elements elements);
/// Every key below a section, in order.
void collect_keys(const ListedSection& section, std::vector<std::string>& keys);

}  // namespace panther::detail
