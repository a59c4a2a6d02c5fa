#include "worker/data/idx_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

constexpr uint8_t kUnsignedByte = 8;
constexpr int kMaxRank = 4;
constexpr int64_t kMaxValues = int64_t{1} << 40;
// Of one read: small at first, so that a header that promises too much costs
// nothing, then as much as there was before.
constexpr int64_t kMinPieceBytes = int64_t{64} << 10;
constexpr int64_t kMaxPieceBytes = int64_t{4} << 20;
constexpr int kZlibBufferBytes = 1 << 17;

// A file's bytes, unpacked if need be: zlib passes on as it is what does not
// start like a gzip file.
class ByteReader {
 public:
  static absl::StatusOr<ByteReader> Open(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(absl::StrCat("cannot open ", path));
    gzFile file = gzdopen(fd, "rb");
    if (file == nullptr) {
      close(fd);
      return absl::ResourceExhaustedError(
          absl::StrCat("cannot open ", path, ": out of memory"));
    }
    gzbuffer(file, kZlibBufferBytes);
    return ByteReader(path, file);
  }

  ByteReader(ByteReader&& other) noexcept
      : path_(std::move(other.path_)),
        file_(std::exchange(other.file_, nullptr)) {}
  ByteReader& operator=(ByteReader&&) = delete;
  ~ByteReader() {
    if (file_ != nullptr) gzclose(file_);
  }

  // Reads up to `to.size()` bytes; fewer only at the end of the file.
  absl::StatusOr<size_t> Read(absl::Span<uint8_t> to) {
    const int got =
        gzread(file_, to.data(), static_cast<unsigned int>(to.size()));
    int error = Z_OK;
    gzerror(file_, &error);
    switch (error) {
      case Z_OK:
        break;
      case Z_ERRNO:
        return ErrnoStatus(absl::StrCat("cannot read ", path_));
      case Z_MEM_ERROR:
        return absl::ResourceExhaustedError(
            absl::StrCat("cannot read ", path_, ": out of memory"));
      case Z_BUF_ERROR:
        return Invalid("its compressed data ends too early");
      default:
        return Invalid("its compressed data is damaged");
    }
    return static_cast<size_t>(got);
  }

  absl::Status Invalid(absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": ", what,
                     "; wanted: an IDX file of unsigned bytes, plain or "
                     "gzip-compressed"));
  }

 private:
  ByteReader(std::string path, gzFile file)
      : path_(std::move(path)), file_(file) {}

  std::string path_;
  gzFile file_;
};

absl::StatusOr<int> ReadRank(ByteReader& reader) {
  std::array<uint8_t, 4> magic{};
  TESSERA_ASSIGN_OR_RETURN(size_t got, reader.Read(absl::MakeSpan(magic)));
  if (got < magic.size()) {
    return reader.Invalid(
        absl::StrCat("ends after ", got, " bytes, inside its magic number"));
  }
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != kUnsignedByte) {
    return reader.Invalid(absl::StrCat("starts with bytes ",
                                       absl::StrJoin(magic, " "),
                                       " where 0 0 8 should be"));
  }
  if (magic[3] < 1 || magic[3] > kMaxRank) {
    return reader.Invalid(
        absl::StrCat("has rank ", magic[3], ", not 1 to ", kMaxRank));
  }
  return magic[3];
}

absl::StatusOr<std::vector<int64_t>> ReadDimensions(ByteReader& reader) {
  TESSERA_ASSIGN_OR_RETURN(const int rank, ReadRank(reader));
  std::vector<int64_t> dimensions;
  int64_t values = 1;
  for (int i = 0; i < rank; ++i) {
    std::array<uint8_t, 4> bytes{};
    TESSERA_ASSIGN_OR_RETURN(size_t got, reader.Read(absl::MakeSpan(bytes)));
    if (got < bytes.size()) {
      return reader.Invalid(absl::StrCat("ends inside its dimension ", i));
    }
    const int64_t dimension =
        int64_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
    if (dimension == 0) {
      return reader.Invalid(absl::StrCat("is empty: dimension ", i, " is 0"));
    }
    // Neither factor is above 2^40, so look before multiplying.
    if (dimension > kMaxValues / values) {
      return reader.Invalid("promises more than 2^40 values");
    }
    values *= dimension;
    dimensions.push_back(dimension);
  }
  return dimensions;
}

absl::StatusOr<std::vector<uint8_t>> ReadValues(ByteReader& reader,
                                                int64_t count) {
  std::vector<uint8_t> values;
  while (std::ssize(values) < count) {
    const int64_t have = std::ssize(values);
    const int64_t piece = std::min(
        count - have, std::clamp(have, kMinPieceBytes, kMaxPieceBytes));
    values.resize(static_cast<size_t>(have + piece));
    TESSERA_ASSIGN_OR_RETURN(
        size_t got,
        reader.Read(absl::MakeSpan(values).last(static_cast<size_t>(piece))));
    if (static_cast<int64_t>(got) < piece) {
      return reader.Invalid(
          absl::StrCat("holds ", have + static_cast<int64_t>(got),
                       " values where its dimensions say ", count));
    }
  }
  uint8_t extra = 0;
  TESSERA_ASSIGN_OR_RETURN(size_t got, reader.Read(absl::MakeSpan(&extra, 1)));
  if (got > 0) {
    return reader.Invalid(absl::StrCat("goes on after the ", count,
                                       " values that its dimensions say"));
  }
  return values;
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> ReadIdxDimensions(
    const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(ByteReader reader, ByteReader::Open(path));
  return ReadDimensions(reader);
}

absl::StatusOr<IdxArray> ReadIdxFile(const std::string& path) try {
  TESSERA_ASSIGN_OR_RETURN(ByteReader reader, ByteReader::Open(path));
  IdxArray array;
  TESSERA_ASSIGN_OR_RETURN(array.dimensions, ReadDimensions(reader));
  int64_t count = 1;
  for (int64_t dimension : array.dimensions) count *= dimension;
  TESSERA_ASSIGN_OR_RETURN(array.values, ReadValues(reader, count));
  return array;
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError(
      absl::StrCat(path, ": its contents do not fit in memory"));
}

}  // namespace tessera
