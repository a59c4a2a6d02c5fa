"""The bugs that tests/planted/run plants: what each changes, and who must notice.

`was` is the text that is changed, which must be in its file just once; `becomes`
takes its place, and asks TESSERA_PLANTED("name") whether the bug is on.
"""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Bug:
    name: str
    what: str
    file: str
    was: str
    becomes: str
    suites: typing.Sequence[str]


AGGREGATION = ("//tests/unit/shard:block_aggregator_test",
               "//tests/unit/shard:shard_store_test",
               "//tests/unit/shard:same_bits_test")
CHECKPOINT = ("//tests/unit/checkpoint:crash_test",
              "//tests/unit/checkpoint:damage_test",
              "//tests/unit/checkpoint:format_test",
              "//tests/unit/checkpoint:retention_test",
              "//tests/unit/checkpoint:round_trip_test")
LEASES = ("//tests/unit/coordinator:coordinator_lease_test",
          "//tests/unit/coordinator:unit_ledger_test",
          "//tests/unit/coordinator:coordinator_evaluation_test",
          "//tests/simulation:coordinator_simulation_test")

BUGS = (
    # Sums.
    Bug("add_duplicates",
        "a range that was counted is added again",
        "server/shard/block_aggregator.cc",
        "  if (IsCovered(range)) return",
        '  if (!TESSERA_PLANTED("add_duplicates") && IsCovered(range)) return',
        AGGREGATION),
    Bug("keep_covered",
        "a larger range is added to its pieces instead of taking their place",
        "server/shard/block_aggregator.cc",
        "  RemoveCovered(climb.reached);\n",
        '  if (!TESSERA_PLANTED("keep_covered")) RemoveCovered(climb.reached);\n',
        AGGREGATION),
    Bug("sum_as_it_comes",
        "ranges are added up in the order in which they arrive, not along the tree",
        "server/shard/block_aggregator.cc",
        "    if (it == held_.end() || it->second.range != *sibling) break;",
        '    if (TESSERA_PLANTED("sum_as_it_comes") && it != held_.end() &&\n'
        "        climb.reached.size() < it->second.range.size()) break;\n"
        "    if (it == held_.end() || it->second.range != *sibling) break;",
        AGGREGATION),
    Bug("accept_future_step",
        "a gradient for a step to come is taken for one of the step at hand",
        "server/shard/block.cc",
        "  if (contribution.step > newest) {",
        '  if (!TESSERA_PLANTED("accept_future_step") && contribution.step > newest) {',
        AGGREGATION),
    # Leases.
    Bug("leases_never_end",
        "a worker that is silent keeps its work",
        "server/coordinator/membership.cc",
        "    if (now - member.last_heard > lease_) expired",
        '    if (!TESSERA_PLANTED("leases_never_end") &&\n'
        "        now - member.last_heard > lease_) expired",
        LEASES),
    Bug("dead_keep_units",
        "what a worker held is not freed when its lease runs out",
        "server/coordinator/unit_ledger.cc",
        "    unit.state = UnitState::kFree;",
        '    if (TESSERA_PLANTED("dead_keep_units")) continue;\n'
        "    unit.state = UnitState::kFree;",
        LEASES),
    Bug("score_twice",
        "an evaluation chunk that is reported twice counts twice",
        "server/coordinator/evaluation_tally.cc",
        "  if (slot.has_value()) return;",
        '  if (!TESSERA_PLANTED("score_twice") && slot.has_value()) return;',
        LEASES),
    # Checkpoints.
    Bug("rename_before_fsync",
        "a file gets its name before its bytes are on the disk",
        "server/checkpoint/writer.cc",
        "    TESSERA_RETURN_IF_ERROR(file->Sync());",
        '    if (!TESSERA_PLANTED("rename_before_fsync")) {\n'
        "      TESSERA_RETURN_IF_ERROR(file->Sync());\n    }",
        CHECKPOINT),
    Bug("no_folder_sync",
        "a file's name is not made to last",
        "server/checkpoint/writer.cc",
        "    return storage.SyncFolder(folder);",
        '    if (TESSERA_PLANTED("no_folder_sync")) return absl::OkStatus();\n'
        "    return storage.SyncFolder(folder);",
        CHECKPOINT),
    Bug("no_root_sync",
        "the set's own folder is not made to last",
        "server/checkpoint/writer.cc",
        "  return storage.SyncFolder(root);",
        '  if (TESSERA_PLANTED("no_root_sync")) return absl::OkStatus();\n'
        "  return storage.SyncFolder(root);",
        CHECKPOINT),
    Bug("ignore_write_errors",
        "a write that fails is taken for one that did not",
        "server/checkpoint/writer.cc",
        "    TESSERA_RETURN_IF_ERROR(write(*file));",
        '    if (absl::Status s = write(*file);\n'
        '        !s.ok() && !TESSERA_PLANTED("ignore_write_errors")) return s;',
        CHECKPOINT),
    Bug("no_look_before_manifest",
        "a manifest is written over files that nobody looked at",
        "server/checkpoint/writer.cc",
        "  for (const v1::CheckpointFile& file : manifest.files()) {\n"
        "    TESSERA_RETURN_IF_ERROR(\n",
        "  for (const v1::CheckpointFile& file : manifest.files()) {\n"
        '    if (TESSERA_PLANTED("no_look_before_manifest")) break;\n'
        "    TESSERA_RETURN_IF_ERROR(\n",
        CHECKPOINT),
    Bug("no_piece_crc",
        "values whose CRC is wrong are taken",
        "server/checkpoint/format.cc",
        "  if (stored != actual) return bad(CrcMismatch(stored, actual));",
        '  if (!TESSERA_PLANTED("no_piece_crc") && stored != actual)\n'
        "    return bad(CrcMismatch(stored, actual));",
        CHECKPOINT),
    Bug("mixed_pieces",
        "values of another set are taken",
        "server/checkpoint/format.cc",
        "  if (found_set != set) {",
        '  if (!TESSERA_PLANTED("mixed_pieces") && found_set != set) {',
        CHECKPOINT),
    Bug("mixed_files",
        "a shard's file of another set is taken",
        "server/checkpoint/shard_file.cc",
        "  if (header.set != set) {",
        '  if (!TESSERA_PLANTED("mixed_files") && header.set != set) {',
        CHECKPOINT),
    Bug("unpinned_files",
        "the manifest no longer says which files are its own",
        "server/checkpoint/shard_file.cc",
        "  if (found == pinned) return absl::OkStatus();",
        '  if (TESSERA_PLANTED("unpinned_files")) return absl::OkStatus();\n'
        "  if (found == pinned) return absl::OkStatus();",
        CHECKPOINT),
    Bug("remove_files_first",
        "a set that is removed keeps its manifest to the last",
        "server/checkpoint/sets.cc",
        "  TESSERA_RETURN_IF_ERROR(storage.SyncFolder(folder));",
        '  if (!TESSERA_PLANTED("remove_files_first")) {\n'
        "    TESSERA_RETURN_IF_ERROR(storage.SyncFolder(folder));\n  }",
        CHECKPOINT),
    Bug("retention_without_proof",
        "old sets go although the newest is not whole",
        "server/checkpoint/sets.cc",
        "  if (!is_there) {",
        '  if (!TESSERA_PLANTED("retention_without_proof") && !is_there) {',
        CHECKPOINT),
)
