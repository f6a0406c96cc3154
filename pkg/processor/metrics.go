package processor

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/partition"
)

type metrics struct {
	parked    prometheus.Gauge
	unflushed prometheus.Gauge
	leading   prometheus.Gauge
	refused   prometheus.Counter
	stalls    prometheus.Counter

	cleanings, cleaningsFailed, cleaned prometheus.Counter

	uploads, uploadsFailed, downloadsFailed, restores prometheus.Counter

	durable, archived, trimmed *prometheus.GaugeVec // by partition; of those led here

	uploadTime, downloadTime *host.Histogram
	blocked                  *prometheus.GaugeVec // by partition and reason

	starts, stops *prometheus.CounterVec // by partition; stops also by cause
	shuffled      *prometheus.CounterVec // by partition
	shuffling     *prometheus.GaugeVec   // by partition
	openStores    prometheus.Gauge

	accepted, rejected prometheus.Counter // bytes of requests

	shortenings prometheus.Counter // of the replay

	stages    [stageCount]*host.Histogram // of take-overs
	campaigns prometheus.Counter          // that failed

	latency       *host.Histogram
	actions       [partition.EffectRetry + 1]prometheus.Counter // by kind of effect
	applyLeading  applyTimes
	applyFollower applyTimes
}

// Reasons why a partition cannot run here.
const (
	blockedBySnapshot = "snapshot-unavailable"
	blockedByVersion  = "version_barrier"
)

// stage is a part of a take-over, in their order.
type stage uint8

const (
	stageSeal     stage = iota // seal the last loglet and find its tail
	stageClaim                 // the transaction that makes this node the leader
	stageReplay                // apply what the store lacks
	stageAnnounce              // commit and apply the first record of the epoch
	stageCount
)

var stageNames = [stageCount]string{stageSeal: "seal", stageClaim: "claim", stageReplay: "replay", stageAnnounce: "announce"}

// applyTimes are the histograms of commands by their kind; of a kind that is not known there is none.
type applyTimes [command.Barrier + 1]*host.Histogram

func (a *applyTimes) of(k command.Kind) *host.Histogram {
	if int(k) < len(a) && a[k] != nil {
		return a[k]
	}
	return a[command.Read]
}

func newMetrics(r *prometheus.Registry) *metrics {
	m := &metrics{
		parked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reprise_processor_parked_partitions", Help: "Partitions that stopped because a command could not be applied.",
		}),
		unflushed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reprise_processor_unflushed_commands", Help: "Commands applied but not flushed: what a restart must replay.",
		}),
		leading: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reprise_processor_led_partitions", Help: "Partitions that this node leads.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_refused_records_total", Help: "Requests and messages of other partitions that were told to come again, as too many waited.",
		}),
		stalls: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_store_stalls_total", Help: "Times that committed commands had to wait for the store of their partition.",
		}),
		cleanings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_cleanings_total", Help: "Times that a partition was looked through for what was kept long enough. None for longer than worker.cleanup-interval: disks grow.",
		}),
		cleaningsFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_failed_cleanings_total", Help: "Those that were cut short, and are repeated a minute later. If it keeps growing, the partition or its log takes too few records.",
		}),
		cleaned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_cleaned_invocations_total", Help: "Completed invocations whose result or journal was forgotten because its retention was over.",
		}),
		uploads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restate_partition_store_snapshots_upload_total", Help: "Snapshots of partitions that were put into the object store.",
		}),
		uploadsFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restate_partition_store_snapshots_upload_failed_total", Help: "Snapshots of partitions that could not be put into the object store; the next one is tried 10 s later. The log says why.",
		}),
		downloadsFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restate_partition_store_snapshots_download_failed_total", Help: "Snapshots that could not be restored because something of them is damaged or missing.",
		}),
		uploadTime:   host.NewHistogram(r, "restate_partition_store_snapshots_upload_duration_seconds", "How long it took to make snapshots.", transfers),
		downloadTime: host.NewHistogram(r, "restate_partition_store_snapshots_download_duration_seconds", "How long it took to restore partition stores.", transfers),
		blocked: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "restate_partition_blocked_flare", Help: "1: the partition cannot run here. snapshot-unavailable: the log does not reach back to its store, and no snapshot can be restored. ahead-of-log: its store holds what the log lost, and is not used.",
		}, []string{"partition", "reason"}),
		durable:  positions("durable", "Up to where a partition that is led here is on the disk of this node."),
		archived: positions("archived", "Up to where a partition that is led here is in the oldest snapshot that is kept. If it stands still, look whether snapshots are made."),
		trimmed:  positions("trimmed", "Up to where the log of a partition that is led here is trimmed. If it stands still, the disks of the log-servers fill: see worker.durability-mode."),
		restores: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprise_processor_restores_total", Help: "Partition stores that were restored from a snapshot.",
		}),
	}
	r.MustRegister(m.uploads, m.uploadsFailed, m.downloadsFailed, m.blocked, m.restores, m.durable, m.archived, m.trimmed)
	r.MustRegister(m.cleanings, m.cleaningsFailed, m.cleaned)
	r.MustRegister(m.parked, m.unflushed, m.leading, m.refused, m.stalls)
	m.accepted, m.rejected = host.NewTraffic(r, "PartitionLeaderService")
	m.addRunning(r)
	m.addApplying(r)
	return m
}

// transfers are the buckets of snapshots: 10 ms to 3 hours.
var transfers = prometheus.ExponentialBuckets(0.01, 4, 11)

// addRunning adds what is counted when partitions start and stop, and for each message between them.
func (m *metrics) addRunning(r *prometheus.Registry) {
	m.starts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restate_partition_start_total", Help: "Times that this node began to lead or follow a partition.",
	}, []string{"partition"})
	m.stops = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restate_partition_stop_total", Help: "Times that this node ceased to lead or follow a partition: because its role changed (normal), or why not. The log has the rest.",
	}, []string{"partition", "type"})
	m.shuffled = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restate_partition_shuffle_message_total", Help: "Messages of a partition that others have taken.",
	}, []string{"partition"})
	m.shuffling = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "restate_partition_shuffle_inflight", Help: "Messages of a partition on their way. If they stay, a partition that others call has no leader.",
	}, []string{"partition"})
	m.openStores = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "restate_partition_store_num_open", Help: "Partition stores that are open.",
	})
	m.shortenings = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "reprise_processor_replay_flushes_total", Help: "Flushes of the partition store that holds most, because the process held more unflushed commands than it can replay in time.",
	})
	stages := host.NewHistograms(r, "reprise_processor_takeover_stage_seconds",
		"Time of the parts of a take-over that succeeded: seal, claim (one transaction in the metadata), replay, announce.", host.Seconds, "stage")
	for s, name := range stageNames {
		m.stages[s] = stages.With(name)
	}
	m.campaigns = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "reprise_processor_campaigns_failed_total", Help: "Take-overs that failed and are tried again, or left to another node. The log says why.",
	})
	r.MustRegister(m.starts, m.stops, m.shuffled, m.shuffling, m.openStores, m.shortenings, m.campaigns)
}

// actionNames are those that the contract has, where there is one.
var actionNames = map[partition.EffectKind]string{
	partition.EffectStart: "Invoke", partition.EffectForward: "ForwardNotification", partition.EffectStepped: "AckStoredCommand",
	partition.EffectStop: "AbortInvocation", partition.EffectAnswer: "IngressResponse", partition.EffectCompleted: "IngressSubmitNotification",
	partition.EffectTimer: "RegisterTimer", partition.EffectOutbox: "NewOutboxMessage", partition.EffectLead: "AnnounceLeader",
	partition.EffectHold: "PauseInvocation", partition.EffectRetry: "RetryInvocation",
}

// commandNames are the labels of commands.
var commandNames = map[command.Kind]string{
	command.Announce: "AnnounceLeader", command.Invoke: "Invoke", command.Step: "InvokerEffect", command.Fire: "Timer",
	command.Respond: "InvocationResponse", command.Signal: "NotifySignal", command.TruncateOutbox: "TruncateOutbox", command.Read: "Read",
	command.Pause: "PauseInvocation", command.Fail: "FailInvocation", command.Attach: "AttachInvocation", command.Share: "ShareResponse",
	command.Cancel: "CancelInvocation", command.Kill: "KillInvocation", command.Hold: "HoldInvocation", command.Resume: "ResumeInvocation",
	command.Restart: "RestartAsNewInvocation", command.Purge: "PurgeInvocation", command.PurgeJournal: "PurgeJournal",
	command.PatchState: "PatchState", command.Expire: "Expire", command.Event: "InvokerEvent", command.Barrier: "VersionBarrier",
}

// addApplying adds what is counted for each command: children are looked up here and never again.
func (m *metrics) addApplying(r *prometheus.Registry) {
	apply := host.NewHistograms(r, "restate_partition_apply_command_duration_seconds",
		"Time to apply a command to the rows in memory, by leaders (1) and by followers and after a start (0).", prometheus.ExponentialBuckets(1e-6, 4, 10), "command", "leader")
	for k, name := range commandNames {
		m.applyLeading[k], m.applyFollower[k] = apply.With(name, "1"), apply.With(name, "0")
	}
	m.latency = host.NewHistograms(r, "restate_partition_record_committed_to_read_latency_seconds",
		"Time from the append of a record to its application by the leader: what the log takes.", host.Seconds, "leader").With("1")
	actions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restate_partition_handle_leader_action_total", Help: "Actions of leaders that follow from applied commands.",
	}, []string{"action"})
	r.MustRegister(actions)
	for k, name := range actionNames {
		m.actions[k] = actions.WithLabelValues(name)
	}
}

// partMetrics are the children of one partition.
type partMetrics struct {
	starts    prometheus.Counter
	shuffled  prometheus.Counter
	shuffling prometheus.Gauge
}

func (m *metrics) of(p id.Partition) partMetrics {
	label := strconv.Itoa(int(p))
	m.stops.WithLabelValues(label, "normal") // a family is there from the start
	m.blocked.WithLabelValues(label, blockedBySnapshot)
	m.blocked.WithLabelValues(label, blockedByVersion)
	return partMetrics{m.starts.WithLabelValues(label), m.shuffled.WithLabelValues(label), m.shuffling.WithLabelValues(label)}
}

// led shows the positions of a partition that is led here, at 0 until they are looked for.
func (m *metrics) led(p id.Partition) {
	label := strconv.Itoa(int(p))
	for _, v := range []*prometheus.GaugeVec{m.durable, m.archived, m.trimmed} {
		v.WithLabelValues(label)
	}
}

// stopped counts the end of a role, with its cause.
func (m *metrics) stopped(p id.Partition, err error) {
	cause := "error"
	var gap trimmed
	switch {
	case err == nil:
		cause = "normal"
	case errors.As(err, &gap):
		cause = "log-gap-detected"
	case errors.Is(err, errAhead):
		cause = "ahead_of_log"
	case errs.Is(err, errs.Unsupported):
		cause = "version_barrier"
	case errors.As(err, &openError{}):
		cause = "startup-error"
	}
	m.stops.WithLabelValues(strconv.Itoa(int(p)), cause).Inc()
}

// positions are LSNs by partition.
func positions(what, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "reprise_processor_" + what + "_lsn", Help: help}, []string{"partition"})
}
