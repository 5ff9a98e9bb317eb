#include "core/arguments.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"

namespace panther {

namespace {

template <class Number>
Number parse_number(const std::string& name, const std::string& text) {
  Number result{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), result);
  PANTHER_REQUIRE(problem == std::errc() && end == text.data() + text.size(), name, " needs a number, not '", text, "'");
  return result;
}

}  // namespace

Arguments::Arguments(std::string usage, std::vector<OptionSpec> options, const std::vector<std::string>& words)
    : usage_(std::move(usage)), options_(std::move(options)) {
  options_.push_back({"--help", "", "this text"});
  std::vector<std::string> names;
  for (const OptionSpec& option : options_) names.push_back(option.name);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("-") || word == "-") {
      positional_.push_back(word);
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string name = word == "-h" ? "--help" : word.substr(0, equals);
    const auto spec = std::find_if(options_.begin(), options_.end(), [&](const OptionSpec& option) { return option.name == name; });
    if (spec == options_.end()) {
      const std::string near = nearest(name, names);
      fail(ErrorCode::InvalidArgument, "unknown option ", name, near.empty() ? "" : concat("; did you mean ", near, "?"), "\n", help());
    }
    if (spec->value.empty()) {
      PANTHER_REQUIRE(equals == std::string::npos, name, " takes no value");
      values_[name];
    } else if (equals != std::string::npos) {
      values_[name].push_back(word.substr(equals + 1));
    } else {
      PANTHER_REQUIRE(i + 1 < words.size(), name, " needs a value: ", name, " ", spec->value);
      values_[name].push_back(words[++i]);
    }
  }
}

std::optional<std::string> Arguments::value(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end() || found->second.empty()) return std::nullopt;
  return found->second.back();
}

std::vector<std::string> Arguments::values(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::int64_t Arguments::integer(const std::string& name, std::int64_t otherwise) const {
  const auto text = value(name);
  return text ? parse_number<std::int64_t>(name, *text) : otherwise;
}

double Arguments::number(const std::string& name, double otherwise) const {
  const auto text = value(name);
  return text ? parse_number<double>(name, *text) : otherwise;
}

const std::string& Arguments::only_positional(const std::string& what) const {
  PANTHER_REQUIRE(positional_.size() == 1, positional_.empty() ? "missing " : "more than one ", what, "\n", help());
  return positional_.front();
}

void Arguments::no_positional() const {
  PANTHER_REQUIRE(positional_.empty(), "unexpected '", positional_.front(), "'\n", help());
}

std::string Arguments::help() const {
  std::string text = "usage: " + usage_ + "\n";
  for (const OptionSpec& option : options_) {
    std::string left = "  " + option.name + (option.value.empty() ? "" : " " + option.value);
    left.resize(std::max<std::size_t>(left.size() + 2, 28), ' ');
    text += left + option.help + "\n";
  }
  return text;
}

}  // namespace panther
