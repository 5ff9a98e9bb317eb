#include "runtime/observe/event_file.h"

#include <unistd.h>

#include <atomic>
#include <bit>
#include <cstring>
#include <optional>
#include <span>

#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/crc32c.h"
#include "core/env.h"
#include "core/text.h"

namespace panther::runtime {
namespace {

namespace fs = std::filesystem;

// Field numbers of event.proto, summary.proto and tensor.proto.
constexpr int kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3, kEventSummary = 5, kEventSessionLog = 7;
constexpr int kSessionStatus = 1, kSummaryValue = 1;
constexpr int kValueTag = 1, kValueSimple = 2, kValueTensor = 8, kValueMetadata = 9;
constexpr int kMetadataPlugin = 1, kPluginName = 1;
constexpr int kTensorType = 1, kTensorShape = 2, kShapeDim = 2, kDimSize = 1, kTensorStrings = 8;
constexpr std::uint64_t kSessionStart = 1, kTypeString = 7;

/// Appends protocol-buffer fields to a byte string.
class ProtoMessage {
 public:
  ProtoMessage& integer(int field, std::uint64_t value) { return raw(key(field, 0)).raw(value); }
  ProtoMessage& real64(int field, double value) { return raw(key(field, 1)).fixed(std::bit_cast<std::uint64_t>(value)); }
  ProtoMessage& real32(int field, float value) { return raw(key(field, 5)).fixed(std::bit_cast<std::uint32_t>(value)); }
  ProtoMessage& text(int field, std::string_view value) {
    raw(key(field, 2)).raw(value.size());
    bytes_.append(value);
    return *this;
  }
  ProtoMessage& message(int field, const ProtoMessage& value) { return text(field, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  static std::uint64_t key(int field, int wire_type) { return static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire_type); }
  ProtoMessage& raw(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
    return *this;
  }
  template <class T>
  ProtoMessage& fixed(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) bytes_ += static_cast<char>(value >> (8 * i));
    return *this;
  }
  std::string bytes_;
};

ProtoMessage event(double time, std::int64_t step) {
  ProtoMessage result;
  result.real64(kEventWallTime, time);
  if (step != 0) result.integer(kEventStep, static_cast<std::uint64_t>(step));
  return result;
}

template <class T>
void append_little_endian(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i));
}

template <class T>
T read_little_endian(std::string_view bytes) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return value;
}

std::uint32_t checksum(std::string_view bytes) { return masked_crc32c(crc32c(std::as_bytes(std::span(bytes.data(), bytes.size())))); }

std::string record(const ProtoMessage& message) {
  std::string out;
  append_little_endian(out, static_cast<std::uint64_t>(message.bytes().size()));
  append_little_endian(out, checksum(out));
  out += message.bytes();
  append_little_endian(out, checksum(message.bytes()));
  return out;
}

fs::path new_file_name(const fs::path& folder) {
  static std::atomic<int> counter{0};
  return folder / concat("events.out.tfevents.", static_cast<std::int64_t>(unix_seconds()), ".", host_name(), ".", ::getpid(), ".", counter++);
}

constexpr std::size_t kFrameHead = 12, kFrameTail = 4;

/// The first whole record of `bytes` (frame included), or "" when it is torn or damaged.
std::string_view first_record(std::string_view bytes) {
  if (bytes.size() < kFrameHead + kFrameTail || read_little_endian<std::uint32_t>(bytes.substr(8)) != checksum(bytes.substr(0, 8))) return {};
  const auto length = read_little_endian<std::uint64_t>(bytes);
  if (length > bytes.size() - kFrameHead - kFrameTail) return {};
  const std::string_view data = bytes.substr(kFrameHead, length);
  if (read_little_endian<std::uint32_t>(bytes.substr(kFrameHead + length)) != checksum(data)) return {};
  return bytes.substr(0, kFrameHead + length + kFrameTail);
}

std::optional<std::uint64_t> read_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

/// The step of an event with a summary; nothing for other events (version, session marker). Our events have wall time and step first.
std::optional<std::int64_t> summary_step(std::string_view data) {
  std::int64_t step = 0;
  while (!data.empty()) {
    const auto field = read_varint(data);
    if (!field) return std::nullopt;
    if (*field >> 3 == kEventSummary) return step;
    if ((*field & 7) == 1 && data.size() >= 8) {
      data.remove_prefix(8);
    } else if ((*field & 7) == 0) {
      const auto value = read_varint(data);
      if (!value) return std::nullopt;
      if (*field >> 3 == kEventStep) step = static_cast<std::int64_t>(*value);
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

void cut_event_file(const fs::path& path, std::int64_t first_step) {
  const std::string text = read_file(path);
  std::string kept;
  std::string_view rest = text;
  for (std::string_view one = first_record(rest); !one.empty(); one = first_record(rest)) {
    const auto step = summary_step(one.substr(kFrameHead, one.size() - kFrameHead - kFrameTail));
    if (!step || *step < first_step) kept.append(one);
    rest.remove_prefix(one.size());
  }
  if (!kept.empty() && kept.size() != text.size()) write_file_atomic(path, kept);
}

}  // namespace

EventFile::EventFile(const fs::path& folder) : file_(new_file_name(folder)) {
  file_.append(record(event(unix_seconds(), 0).text(kEventFileVersion, "brain.Event:2")));
}

void EventFile::start_session(double time, std::int64_t first_step) {
  file_.append(record(event(time, first_step).message(kEventSessionLog, ProtoMessage().integer(kSessionStatus, kSessionStart))));
}

void EventFile::write_scalars(double time, std::int64_t step, const Scalars& scalars) {
  ProtoMessage summary;
  for (const auto& [tag, value] : scalars) {
    summary.message(kSummaryValue, ProtoMessage().text(kValueTag, tag).real32(kValueSimple, static_cast<float>(value)));
  }
  file_.append(record(event(time, step).message(kEventSummary, summary)));
}

void EventFile::write_text(double time, std::int64_t step, std::string_view tag, std::string_view markdown) {
  const ProtoMessage metadata = ProtoMessage().message(kMetadataPlugin, ProtoMessage().text(kPluginName, "text"));
  const ProtoMessage shape = ProtoMessage().message(kShapeDim, ProtoMessage().integer(kDimSize, 1));
  const ProtoMessage tensor = ProtoMessage().integer(kTensorType, kTypeString).message(kTensorShape, shape).text(kTensorStrings, markdown);
  const ProtoMessage value = ProtoMessage().text(kValueTag, tag).message(kValueTensor, tensor).message(kValueMetadata, metadata);
  file_.append(record(event(time, step).message(kEventSummary, ProtoMessage().message(kSummaryValue, value))));
}

void cut_event_files(const fs::path& folder, std::int64_t first_step) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().filename().string().find("tfevents") != std::string::npos) cut_event_file(entry.path(), first_step);
  }
}

}  // namespace panther::runtime
