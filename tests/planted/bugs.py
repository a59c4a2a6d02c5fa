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
SHARD = ("//tests/unit/shard:restore_test",
         "//tests/unit/shard:capture_test",
         "//tests/unit/shard:generation_test",
         "//tests/unit/shard:repeat_test",
         "//tests/unit/shard:recovery_race_test")
SIMULATION = ("//tests/simulation/recovery:recovery_simulation_test",)
RECOVERY = SIMULATION + (
    "//tests/unit/coordinator:shard_roll_test",
    "//tests/unit/coordinator:coordinator_recovery_test",
    "//tests/unit/coordinator:coordinator_checkpoint_test",
    "//tests/unit/coordinator:coordinator_resume_test",
    "//tests/unit/coordinator:coordinator_last_checkpoint_test")
AGENT = SIMULATION + ("//tests/unit/service:agent_plan_test",)
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
    Bug("add_old_step",
        "a gradient for a step that is over is added to the step at hand",
        "server/shard/block.cc",
        "  if (contribution.step == newest) {",
        '  if (contribution.step == newest || TESSERA_PLANTED("add_old_step")) {',
        AGGREGATION + SHARD),
    Bug("count_pushes",
        "a step is complete after M pushes, whatever they hold",
        "server/shard/block_aggregator.cc",
        "  if (climb.reached == tree_.root()) {",
        "  static thread_local int pushes = 0;\n"
        "  ++pushes;\n"
        "  if (climb.reached == tree_.root() ||\n"
        '      (TESSERA_PLANTED("count_pushes") && pushes % 4 == 0)) {',
        AGGREGATION),
    Bug("answer_before_apply",
        "who waits for a step is answered with the version before it",
        "server/shard/block.cc",
        "  done.answers = EndWaits(Share(state_.newest()));",
        "  done.answers = EndWaits(Share(\n"
        '      TESSERA_PLANTED("answer_before_apply") ? state_.previous()\n'
        "                                             : state_.newest()));",
        AGGREGATION + SIMULATION),
    Bug("other_bytes",
        "the same key with other bytes is taken for a repeat",
        "server/shard/block.cc",
        "  if (counted == nullptr || counted->digest == digest) return",
        '  if (TESSERA_PLANTED("other_bytes") || counted == nullptr ||\n'
        "      counted->digest == digest) return",
        SHARD),
    # Going back.
    Bug("serve_old_generation",
        "gradients of a generation that is over are taken",
        "server/shard/block_serving.cc",
        "  if (generation == 0 || generation == generation_) return",
        '  if (TESSERA_PLANTED("serve_old_generation") || generation == 0 ||\n'
        "      generation == generation_) return",
        SHARD),
    Bug("keep_partial_sums",
        "what was summed before the shard went back is counted after it",
        "server/shard/block_serving.cc",
        "  aggregator_.Clear();",
        '  if (!TESSERA_PLANTED("keep_partial_sums")) aggregator_.Clear();',
        SHARD + SIMULATION),
    Bug("keep_digests",
        "digests from before the shard went back are compared after it",
        "server/shard/block_serving.cc",
        "  counted_.Clear();",
        '  if (!TESSERA_PLANTED("keep_digests")) counted_.Clear();',
        SHARD),
    Bug("forget_optimizer_state",
        "momentum is 0 after a restore",
        "server/checkpoint/reader.cc",
        "  for (int64_t at = elements.begin; at < elements.end;) {\n"
        "    const int shard = FileOfElement(manifest_, at);",
        '  if (TESSERA_PLANTED("forget_optimizer_state") && section > 0) {\n'
        "    std::fill(out.begin(), out.end(), 0.0f);\n"
        "    return absl::OkStatus();\n  }\n"
        "  for (int64_t at = elements.begin; at < elements.end;) {\n"
        "    const int shard = FileOfElement(manifest_, at);",
        SIMULATION + CHECKPOINT),
    Bug("capture_late",
        "a checkpoint holds the version after the one that it says",
        "server/shard/block.cc",
        "  if (capture_.capture != 0 && capture_.version == done.result.newest_version) {",
        "  if (capture_.capture != 0 &&\n"
        "      capture_.version + (TESSERA_PLANTED(\"capture_late\") ? 1 : 0) ==\n"
        "          done.result.newest_version) {",
        SHARD + SIMULATION),
    Bug("one_server_goes_back",
        "a server that comes back starts from its checkpoint, the others go on",
        "server/coordinator/shard_roll.cc",
        "  if (is_another || is_foreign) {",
        '  if (!TESSERA_PLANTED("one_server_goes_back") && (is_another || is_foreign)) {',
        RECOVERY),
    Bug("welcome_the_dead",
        "a process that another has replaced is given orders",
        "server/coordinator/shard_roll.cc",
        "  if (replaced_.contains(request.incarnation())) {",
        '  if (!TESSERA_PLANTED("welcome_the_dead") &&\n'
        "      replaced_.contains(request.incarnation())) {",
        RECOVERY),
    Bug("generations_start_anew",
        "a new coordinator counts generations from 1, as the one before it did",
        "server/coordinator/shard_roll.cc",
        "  generation_ = std::max(generation_, generation_floor_);",
        '  if (!TESSERA_PLANTED("generations_start_anew"))\n'
        "    generation_ = std::max(generation_, generation_floor_);",
        RECOVERY),
    Bug("use_generations_again",
        "a coordinator goes on just above what it has heard of its predecessors",
        "server/coordinator/shard_roll.cc",
        "  return 1 + static_cast<int64_t>(mixed >> 32);",
        '  if (TESSERA_PLANTED("use_generations_again")) return 1;\n'
        "  return 1 + static_cast<int64_t>(mixed >> 32);",
        RECOVERY),
    Bug("not_all_are_there",
        "work is granted before every server has loaded its shard",
        "server/coordinator/shard_roll.cc",
        "    shard.is_at_generation = true;",
        "    shard.is_at_generation = true;\n"
        '    if (TESSERA_PLANTED("not_all_are_there"))\n'
        "      for (Shard& s : shards_) s.is_at_generation = true;",
        RECOVERY),
    Bug("keep_bad_sets",
        "a set that could not be loaded is tried for ever",
        "server/coordinator/shard_roll.cc",
        "  if (BlamesTheSet(failure)) {",
        '  if (!TESSERA_PLANTED("keep_bad_sets") && BlamesTheSet(failure)) {',
        RECOVERY),
    Bug("believe_old_proofs",
        "a worker's word from before the servers went back is believed",
        "server/coordinator/coordinator_shards.cc",
        "  return running() && (generation == 0 || generation == roll_.generation());",
        "  return running() && (TESSERA_PLANTED(\"believe_old_proofs\") ||\n"
        "                       generation == 0 || generation == roll_.generation());",
        RECOVERY),
    Bug("forget_stop_rules",
        "a plateau is counted anew after a restart",
        "server/coordinator/coordinator_shards.cc",
        "  progress_.Restart(start.version, StopMemoryOf(start.state), now_);",
        '  if (TESSERA_PLANTED("forget_stop_rules"))\n'
        "    progress_.Restart(start.version, StopMemory(), now_);\n"
        "  else\n"
        "    progress_.Restart(start.version, StopMemoryOf(start.state), now_);",
        RECOVERY),
    Bug("keep_grants",
        "workers keep what they were granted before the servers went back",
        "server/coordinator/coordinator_shards.cc",
        "  members_.ForgetGrants();",
        '  if (!TESSERA_PLANTED("keep_grants")) members_.ForgetGrants();',
        RECOVERY),
    # Making checkpoints.
    Bug("no_hold_back",
        "a step is granted although not all shards will keep its version",
        "server/coordinator/checkpoint_plan.cc",
        "  return attempt_.has_value() && !attempt_->all_ready() &&",
        '  return !TESSERA_PLANTED("no_hold_back") && attempt_.has_value() &&\n'
        "         !attempt_->all_ready() &&",
        RECOVERY),
    Bug("part_of_a_set",
        "the manifest is written when the first shard's file is there",
        "server/coordinator/checkpoint_plan.cc",
        "  return std::all_of(parts.begin(), parts.end(),\n"
        "                     [](const Part& part) { return part.file.has_value(); });",
        "  const auto written = [](const Part& p) { return p.file.has_value(); };\n"
        '  return TESSERA_PLANTED("part_of_a_set")\n'
        "             ? std::any_of(parts.begin(), parts.end(), written)\n"
        "             : std::all_of(parts.begin(), parts.end(), written);",
        RECOVERY),
    Bug("keep_attempt",
        "a checkpoint goes on although the servers went back meanwhile",
        "server/coordinator/coordinator_shards.cc",
        '  plan_.GiveUp(absl::StrCat("the servers went back to version ", start.version),\n'
        "               now_);",
        '  if (!TESSERA_PLANTED("keep_attempt"))\n'
        '  plan_.GiveUp(absl::StrCat("the servers went back to version ", start.version),\n'
        "               now_);",
        RECOVERY),
    Bug("no_last_checkpoint",
        "the version that a job ends at is not kept",
        "server/coordinator/checkpoint_plan.cc",
        "  if (!is_due && next_set_id_ == 0) return;",
        '  if (TESSERA_PLANTED("no_last_checkpoint")) return;\n'
        "  if (!is_due && next_set_id_ == 0) return;",
        RECOVERY),
    Bug("trust_what_was_found",
        "a set is started from whose name may not last",
        "server/service/checkpoint_keeper.cc",
        "      TESSERA_RETURN_IF_ERROR(storage.SyncFolder(set.folder()));",
        '      if (!TESSERA_PLANTED("trust_what_was_found")) {\n'
        "        TESSERA_RETURN_IF_ERROR(storage.SyncFolder(set.folder()));\n      }",
        ("//tests/simulation/recovery:found_sets_test",)),
    Bug("trust_the_folder",
        "the folder for checkpoints is taken as it was found, lasting or not",
        "server/service/checkpoint_keeper.cc",
        "  return MakeFolders(storage, root);",
        '  if (TESSERA_PLANTED("trust_the_folder") && listed.ok()) return listed;\n'
        "  return MakeFolders(storage, root);",
        ("//tests/simulation/recovery:found_sets_test",)),
    Bug("leave_doubtful_folder",
        "a folder whose name may never last is used all the same",
        "common/storage/storage.cc",
        "  if (made.ok() && !synced.ok()) storage.RemoveFolder(folder).IgnoreError();",
        '  if (!TESSERA_PLANTED("leave_doubtful_folder") && made.ok() && !synced.ok())\n'
        "    storage.RemoveFolder(folder).IgnoreError();",
        ("//tests/unit/storage:faulty_storage_test",)),
    Bug("leave_doubtful_manifest",
        "a manifest whose sync failed is left for the next start to find",
        "server/checkpoint/writer.cc",
        "  if (!written.ok()) storage.RemoveFile(path).IgnoreError();",
        '  if (!TESSERA_PLANTED("leave_doubtful_manifest") && !written.ok())\n'
        "    storage.RemoveFile(path).IgnoreError();",
        CHECKPOINT),
    # Agents.
    Bug("serve_while_others_load",
        "a server that is told to wait serves on",
        "server/service/agent_plan.cc",
        "    if (serving_) return SuspendOrder();",
        '    if (serving_ && !TESSERA_PLANTED("serve_while_others_load"))\n'
        "      return SuspendOrder();",
        AGENT),
    Bug("restore_for_a_lost_coordinator",
        "a restore is begun for a coordinator that is gone",
        "server/service/agent_plan.cc",
        "    if (!orders_hold_ || HasFailedIn(wanted)) return NothingToDo();",
        "    if ((!orders_hold_ &&\n"
        '         !TESSERA_PLANTED("restore_for_a_lost_coordinator")) ||\n'
        "        HasFailedIn(wanted)) return NothingToDo();",
        AGENT),
    # Workers.
    Bug("board_forgets_nothing",
        "a worker believes to hold what it held before the servers went back",
        "worker/train/block_board.cc",
        "void BlockBoard::Forget() {\n  Reset();",
        'void BlockBoard::Forget() {\n  Reset();\n'
        '  if (TESSERA_PLANTED("board_forgets_nothing")) return;',
        ("//tests/unit/train:block_board_test",)),
    Bug("calls_without_generation",
        "a worker's calls do not say which generation they belong to",
        "worker/client/block_call.cc",
        "  header.set_generation(request_.generation);",
        '  if (!TESSERA_PLANTED("calls_without_generation"))\n'
        "    header.set_generation(request_.generation);",
        ("//tests/unit/client:generation_test",)),
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
        "  TESSERA_RETURN_IF_ERROR(MakeLastingFolder(storage, folder));",
        '  if (TESSERA_PLANTED("no_root_sync")) {\n'
        "    storage.MakeFolder(folder).IgnoreError();\n"
        "  } else {\n"
        "    TESSERA_RETURN_IF_ERROR(MakeLastingFolder(storage, folder));\n"
        "  }",
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
    Bug("unreadable_sets_go",
        "a set that cannot be read for a moment is removed as damaged",
        "server/checkpoint/sets.cc",
        "    if (has_manifest && kept < options.keep) continue;",
        '    if (!TESSERA_PLANTED("unreadable_sets_go") && has_manifest &&\n'
        "        kept < options.keep) continue;",
        CHECKPOINT + SIMULATION),
    Bug("retention_without_proof",
        "old sets go although the newest is not whole",
        "server/checkpoint/sets.cc",
        "  if (!is_there) {",
        '  if (!TESSERA_PLANTED("retention_without_proof") && !is_there) {',
        CHECKPOINT),
)
