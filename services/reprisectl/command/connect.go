package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/lifecycle"
	"reprise/services/internal/argv"
)

// metadataRole is that of the daemons that answer operators.
const metadataRole = "metadata-server"

// answerMax is how large an answer may be, such as the chains of all logs.
const answerMax = 256 << 20

// addresses are those that the user gives.
func addresses(c *cli.Context) []string {
	var out []string
	for _, a := range strings.Split(c.String("address"), ",") {
		if a = normal(strings.TrimSpace(a)); a != "" {
			out = append(out, a)
		}
	}
	return out
}

// normal writes an address in the shortest way.
func normal(address string) string {
	return strings.TrimRight(strings.TrimPrefix(address, "http://"), "/")
}

func firstAddress(c *cli.Context) string {
	if all := addresses(c); len(all) > 0 {
		return all[0]
	}
	return ""
}

// dial returns a connection that is made when it is used.
func dial(c *cli.Context, address string) (*grpc.ClientConn, error) {
	creds, target := insecure.NewCredentials(), address
	if rest, ok := strings.CutPrefix(address, "https://"); ok {
		t, err := tlsConfig(c)
		if err != nil {
			return nil, err
		}
		target, creds = rest, credentials.NewTLS(t)
	}
	conn, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(creds), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(answerMax)))
	if err != nil {
		return nil, argv.Usagef("invalid value '%s' for '--address': %s", address, err)
	}
	return conn, nil
}

func millis(c *cli.Context, flag string) time.Duration {
	return time.Duration(c.Int64(flag)) * time.Millisecond
}

// peersOf asks whether a node answers at all, and whom it knows.
func peersOf(c *cli.Context, conn *grpc.ClientConn) ([]*storedv1.Node, error) {
	ctx, cancel := context.WithTimeout(c.Context, millis(c, "connect-timeout"))
	defer cancel()
	peers, err := clusterv1.NewNodeServiceClient(conn).Peers(ctx, &clusterv1.PeersRequest{})
	return peers.GetNodes(), err
}

// question is asked of one metadata daemon.
type question func(ctx context.Context, o clusterv1.OperatorServiceClient) error

// ask tries the nodes of --address and then the metadata daemons that they know of, until one answers. once: a question
// that changes something is not asked again after it was sent.
func (r *runner) ask(c *cli.Context, once bool, q question) error {
	todo := addresses(c)
	if len(todo) == 0 {
		return argv.Usagef("a value is required for '--address'")
	}
	var tried, failures []string
	for len(todo) > 0 {
		address := todo[0]
		todo = todo[1:]
		tried = append(tried, address)
		peers, err := r.askAt(c, address, q)
		if r.loud {
			_, _ = fmt.Fprintf(r.env.Err, "asked %s: %s\n", address, status.Code(err))
		}
		if !c.Bool("single-address") {
			for _, n := range peers {
				if a := known(c, n.Address); slices.Contains(n.Roles, metadataRole) && !slices.Contains(tried, a) && !slices.Contains(todo, a) {
					todo = append(todo, a)
				}
			}
		}
		var silent *silentError
		switch code := status.Code(err); {
		case err == nil:
			return nil
		case errors.As(err, &silent), code == codes.Unimplemented, !once && (code == codes.Unavailable || code == codes.DeadlineExceeded):
			failures = append(failures, explained(address, err).Error())
		default:
			return plainly(address, err)
		}
	}
	return fmt.Errorf("no metadata daemon answers:\n%s", strings.Join(failures, "\n"))
}

// silentError is that of a node that was not asked, since it does not answer at all.
type silentError struct{ error }

func (e *silentError) Unwrap() error { return e.error }

// askAt asks one node.
func (r *runner) askAt(c *cli.Context, address string, q question) (peers []*storedv1.Node, err error) {
	conn, err := dial(c, address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // all was received
	if peers, err = peersOf(c, conn); err != nil {
		return nil, &silentError{err}
	}
	ctx, cancel := context.WithTimeout(c.Context, millis(c, "request-timeout"))
	defer cancel()
	return peers, q(ctx, clusterv1.NewOperatorServiceClient(conn))
}

// plainly is an error of a metadata daemon: a verdict stands for itself, of anything else the address helps. Lines
// after the first are reasons.
func plainly(address string, err error) error {
	switch status.Code(err) {
	case codes.FailedPrecondition, codes.NotFound, codes.InvalidArgument:
		return errors.New(branches(status.Convert(err).Message()))
	default:
		return explained(address, err)
	}
}

// branches draws the lines of a text after the first below it.
func branches(text string) string {
	first, rest, _ := strings.Cut(text, "\n")
	if rest == "" {
		return first
	}
	lines := strings.Split(rest, "\n")
	for i, line := range lines {
		branch := "├─"
		if i == len(lines)-1 {
			branch = "└─"
		}
		first += "\n  " + branch + " " + line
	}
	return first
}

// idents asks each node who it is; nil where none answers.
func (r *runner) idents(c *cli.Context, nodes []*storedv1.Node) ([]*clusterv1.IdentResponse, error) {
	out := make([]*clusterv1.IdentResponse, len(nodes))
	g := lifecycle.NewGroup(c.Context)
	for i, n := range nodes {
		g.Go("ident", func(ctx context.Context) error {
			conn, err := dial(c, known(c, n.Address))
			if err != nil {
				return nil //nolint:nilerr // shown as a node that does not answer
			}
			defer func() { _ = conn.Close() }() // all was received
			ctx, cancel := context.WithTimeout(ctx, millis(c, "connect-timeout"))
			defer cancel()
			if got, err := clusterv1.NewNodeServiceClient(conn).Ident(ctx, &clusterv1.IdentRequest{}); err == nil && got.NodeId == n.Id {
				out[i] = got
			}
			return nil
		})
	}
	return out, g.Wait()
}
