package command_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/services/reprisectl/command"
)

// fake is a metadata daemon that answers what a script says.
type fake struct {
	clusterv1.UnimplementedOperatorServiceServer
	clusterv1.UnimplementedNodeServiceServer

	mu      sync.Mutex // guards what follows
	answers map[string]string
	errors  map[string]error
	asked   []string // requests that are not empty
}

func answer[M proto.Message](f *fake, method string, req proto.Message, m M) (M, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b, err := protojson.Marshal(req); err == nil && string(b) != "{}" {
		var v any
		if err := json.Unmarshal(b, &v); err != nil { // protojson puts spaces as it likes
			return m, err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return m, err
		}
		f.asked = append(f.asked, method+" "+string(b))
	}
	if err := f.errors[method]; err != nil {
		return m, err
	}
	text, ok := f.answers[method]
	if !ok {
		return m, status.Errorf(codes.Unimplemented, "the script has no answer of %s", method)
	}
	return m, protojson.Unmarshal([]byte(text), m)
}

func (f *fake) Peers(_ context.Context, r *clusterv1.PeersRequest) (*clusterv1.PeersResponse, error) {
	return answer(f, "Peers", r, &clusterv1.PeersResponse{})
}

func (f *fake) Ident(_ context.Context, r *clusterv1.IdentRequest) (*clusterv1.IdentResponse, error) {
	return answer(f, "Ident", r, &clusterv1.IdentResponse{})
}

func (f *fake) Overview(_ context.Context, r *clusterv1.OverviewRequest) (*clusterv1.OverviewResponse, error) {
	return answer(f, "Overview", r, &clusterv1.OverviewResponse{})
}

func (f *fake) Logs(_ context.Context, r *clusterv1.LogsRequest) (*clusterv1.LogsResponse, error) {
	return answer(f, "Logs", r, &clusterv1.LogsResponse{})
}

func (f *fake) FindTail(_ context.Context, r *clusterv1.FindTailRequest) (*clusterv1.FindTailResponse, error) {
	return answer(f, "FindTail", r, &clusterv1.FindTailResponse{})
}

func (f *fake) SealLog(_ context.Context, r *clusterv1.SealLogRequest) (*clusterv1.SealLogResponse, error) {
	return answer(f, "SealLog", r, &clusterv1.SealLogResponse{})
}

func (f *fake) DescribeLoglet(_ context.Context, r *clusterv1.DescribeLogletRequest) (*clusterv1.DescribeLogletResponse, error) {
	return answer(f, "DescribeLoglet", r, &clusterv1.DescribeLogletResponse{})
}

func (f *fake) DigestLoglet(_ context.Context, r *clusterv1.DigestLogletRequest) (*clusterv1.DigestLogletResponse, error) {
	return answer(f, "DigestLoglet", r, &clusterv1.DigestLogletResponse{})
}

func (f *fake) ChangeNode(_ context.Context, r *clusterv1.ChangeNodeRequest) (*clusterv1.ChangeNodeResponse, error) {
	return answer(f, "ChangeNode", r, &clusterv1.ChangeNodeResponse{})
}

func (f *fake) RemoveNode(_ context.Context, r *clusterv1.RemoveNodeRequest) (*clusterv1.RemoveNodeResponse, error) {
	return answer(f, "RemoveNode", r, &clusterv1.RemoveNodeResponse{})
}

func (f *fake) Lead(_ context.Context, r *clusterv1.LeadRequest) (*clusterv1.LeadResponse, error) {
	return answer(f, "Lead", r, &clusterv1.LeadResponse{})
}

func (f *fake) PlacePartition(_ context.Context, r *clusterv1.PlacePartitionRequest) (*clusterv1.PlacePartitionResponse, error) {
	return answer(f, "PlacePartition", r, &clusterv1.PlacePartitionResponse{})
}

func (f *fake) SteerLeader(_ context.Context, r *clusterv1.SteerLeaderRequest) (*clusterv1.SteerLeaderResponse, error) {
	return answer(f, "SteerLeader", r, &clusterv1.SteerLeaderResponse{})
}

func (f *fake) CreateSnapshot(_ context.Context, r *clusterv1.CreateSnapshotRequest) (*clusterv1.CreateSnapshotResponse, error) {
	return answer(f, "CreateSnapshot", r, &clusterv1.CreateSnapshotResponse{})
}

func (f *fake) TrimLog(_ context.Context, r *clusterv1.TrimLogRequest) (*clusterv1.TrimLogResponse, error) {
	return answer(f, "TrimLog", r, &clusterv1.TrimLogResponse{})
}

func (f *fake) ConfigureCluster(_ context.Context, r *clusterv1.ConfigureClusterRequest) (*clusterv1.ConfigureClusterResponse, error) {
	return answer(f, "ConfigureCluster", r, &clusterv1.ConfigureClusterResponse{})
}

func (f *fake) GetDocument(_ context.Context, r *clusterv1.GetDocumentRequest) (*clusterv1.GetDocumentResponse, error) {
	return answer(f, "GetDocument", r, &clusterv1.GetDocumentResponse{})
}

func (f *fake) PutDocument(_ context.Context, r *clusterv1.PutDocumentRequest) (*clusterv1.PutDocumentResponse, error) {
	return answer(f, "PutDocument", r, &clusterv1.PutDocumentResponse{})
}

func (f *fake) ReconfigureLog(_ context.Context, r *clusterv1.ReconfigureLogRequest) (*clusterv1.ReconfigureLogResponse, error) {
	return answer(f, "ReconfigureLog", r, &clusterv1.ReconfigureLogResponse{})
}

func (f *fake) Provision(_ context.Context, r *clusterv1.ProvisionRequest) (*clusterv1.ProvisionResponse, error) {
	return answer(f, "Provision", r, &clusterv1.ProvisionResponse{})
}

func (f *fake) Compact(_ context.Context, r *clusterv1.CompactRequest) (*clusterv1.CompactResponse, error) {
	return answer(f, "Compact", r, &clusterv1.CompactResponse{})
}

func (f *fake) AddMember(_ context.Context, r *clusterv1.AddMemberRequest) (*clusterv1.AddMemberResponse, error) {
	return answer(f, "AddMember", r, &clusterv1.AddMemberResponse{})
}

func (f *fake) RemoveMember(_ context.Context, r *clusterv1.RemoveMemberRequest) (*clusterv1.RemoveMemberResponse, error) {
	return answer(f, "RemoveMember", r, &clusterv1.RemoveMemberResponse{})
}

func (f *fake) MetadataMembers(_ context.Context, r *clusterv1.MetadataMembersRequest) (*clusterv1.MetadataMembersResponse, error) {
	return answer(f, "MetadataMembers", r, &clusterv1.MetadataMembersResponse{})
}

// start serves on a port of its own; nodeOnly is a daemon that is no metadata daemon.
func (f *fake) start(t *testing.T, nodeOnly bool) (address string) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	clusterv1.RegisterNodeServiceServer(s, f)
	if !nodeOnly {
		clusterv1.RegisterOperatorServiceServer(s, f)
	}
	done := make(chan error, 1) // of one server
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// run runs a command and prints what it wrote, what was asked for and its exit code.
func (f *fake) run(t *testing.T, line, input string, replace *strings.Replacer) string {
	f.mu.Lock()
	f.asked = nil
	f.mu.Unlock()
	var out, errOut strings.Builder
	code := command.Run(t.Context(), words(line), command.Env{In: strings.NewReader(input), Out: &out, Err: &errOut})
	text := out.String()
	if errOut.Len() > 0 {
		text += "--- stderr\n" + errOut.String()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.asked {
		text += "--- asked " + a + "\n"
	}
	if code != 0 {
		text += fmt.Sprintf("--- exit %d\n", code)
	}
	var kept strings.Builder // an empty line ends an answer of a script
	for l := range strings.Lines(replace.Replace(text)) {
		if l = strings.TrimRight(l, " \n"); l == "" {
			l = "."
		}
		kept.WriteString(l + "\n")
	}
	return kept.String()
}

// words splits at spaces, but not between single quotes.
func words(line string) (out []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

func TestCommands(t *testing.T) {
	files, err := filepath.Glob("testdata/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			f := &fake{answers: map[string]string{"Peers": "{}"}, errors: map[string]error{}}
			address, other := f.start(t, false), ""
			input := ""
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				f.mu.Lock()
				defer f.mu.Unlock()
				replace := strings.NewReplacer(address, "METADATA")
				if other != "" {
					replace = strings.NewReplacer(address, "METADATA", other, "OTHER")
				}
				switch d.Cmd {
				case "answer": // answer <method>, its message as JSON
					f.answers[d.CmdArgs[0].Key] = strings.ReplaceAll(d.Input, "METADATA", address)
					delete(f.errors, d.CmdArgs[0].Key)
				case "fail": // fail <method> <code>, the message
					var code codes.Code
					if err := code.UnmarshalJSON([]byte(`"` + d.CmdArgs[1].Key + `"`)); err != nil {
						d.Fatalf(t, "%v", err)
					}
					f.errors[d.CmdArgs[0].Key] = status.Error(code, strings.TrimSpace(d.Input))
				case "input": // what the user types
					input = d.Input
				case "other-daemon": // one that is no metadata daemon: OTHER
					other = f.start(t, true)
				case "reprisectl": // its arguments below
					args := strings.ReplaceAll(strings.TrimSpace(d.Input), "OTHER", other)
					if !strings.Contains(args, "-s ") {
						args = "-s " + address + " " + args
					}
					args = strings.ReplaceAll(args, "METADATA", address)
					f.mu.Unlock()
					defer f.mu.Lock()
					return f.run(t, args, input, replace)
				default:
					d.Fatalf(t, "unknown command %s", d.Cmd)
				}
				return ""
			})
		})
	}
}
