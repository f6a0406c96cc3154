package controller_test

import (
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
)

func TestFounded(t *testing.T) {
	defaults := &storedv1.Cluster{Partitions: 24, Replication: "{node: 1}", PartitionVersion: 3}
	settings := func(logs, partitions string) controller.Settings {
		return controller.Settings{Replication: logs, PartitionReplication: partitions}
	}
	for _, row := range []struct {
		want  controller.Founding
		is    string // partitions, replications and nodeset size
		fails string
	}{
		{controller.Founding{}, "24 {node: 1}", ""},
		{controller.Founding{Partitions: 65535, Settings: settings("2", "{node: 2}")}, "65535 {node: 2}", ""},
		{controller.Founding{Settings: settings("3", "2")}, "24 {node: 3} {node: 2}", ""},
		{controller.Founding{Settings: settings("", "2")}, "24 {node: 1} {node: 2}", ""},
		{controller.Founding{Settings: settings("{node: 3, zone: 2}", "")}, "24 {zone: 2, node: 3}", ""},
		{controller.Founding{Settings: controller.Settings{NodesetSize: proto.Uint32(5)}}, "24 {node: 1} 5", ""},
		{controller.Founding{Partitions: 65536}, "", "65536 partitions"},
		{controller.Founding{Settings: settings("many", "")}, "", "many"},
		{controller.Founding{Settings: settings("", "0")}, "", "0"},
	} {
		c, err := controller.Founded(defaults, row.want)
		if row.fails != "" {
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), row.fails) {
				t.Errorf("%+v: %v", row.want, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", row.want, err)
			continue
		}
		is := strings.Join(strings.Fields(strings.Join([]string{number(c.Partitions), c.Replication, c.PartitionReplication, number(c.NodesetSize)}, " ")), " ")
		if is != row.is || c.PartitionVersion != 3 {
			t.Errorf("%+v: %s, want %s", row.want, is, row.is)
		}
	}
	if defaults.Partitions != 24 || defaults.Replication != "{node: 1}" {
		t.Errorf("the defaults were changed: %v", defaults)
	}
}

// number is empty for 0.
func number(n uint32) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}
