package command

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/pkg/host"
)

// nodeFileMax is how large a file of a node's bundle may be.
const nodeFileMax = 256 << 20

func (r *runner) debug() *cli.Command {
	return &cli.Command{
		Name: "debug", Usage: "find out what goes on in a cluster",
		Subcommands: []*cli.Command{{
			Name: "bundle", Usage: "collect what helps to understand a cluster from afar into one archive: of each node settings (secrets masked), the end of its log, metrics, goroutines and heap",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write; default: reprise-debug-TIME.tar.gz"},
			},
			Action: r.bare(r.bundle),
		}},
	}
}

// source is a process to be asked.
type source struct{ name, address string }

func (r *runner) bundle(c *cli.Context) (err error) {
	now := host.New(slog.New(slog.DiscardHandler)).Clock.Now().UTC()
	out := c.String("output")
	if out == "" {
		out = "reprise-debug-" + now.Format("20060102T150405Z") + ".tar.gz"
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	defer func() {
		if errClose := f.Close(); err == nil {
			err = errClose
		}
		if err != nil {
			_ = os.Remove(out) // half a bundle helps nobody
		}
	}()
	zipped := gzip.NewWriter(f)
	a := &archive{files: tar.NewWriter(zipped), at: now}
	sources, err := r.clusterState(c, a)
	if err != nil {
		return err
	}
	whole := 0
	for _, s := range sources {
		switch err := a.node(c, s); {
		case err == nil:
			whole++
		case a.broken != nil:
			return a.broken
		default:
			r.warn("%s (%s): %s", s.name, s.address, err)
			if err := a.add(path.Join("nodes", s.name, "error.txt"), []byte(err.Error()+"\n")); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(a.files.Close(), zipped.Close()); err != nil {
		return err
	}
	r.printf("wrote %s: %d of %d nodes\n", out, whole, len(sources))
	if whole == 0 {
		r.warn("no node answered")
	}
	return nil
}

// clusterState adds what the metadata daemons say, and returns whom to ask then: without them, those of --address.
func (r *runner) clusterState(c *cli.Context, a *archive) ([]source, error) {
	v, err := r.look(c)
	if err != nil {
		r.warn("%s", err)
		var out []source
		for _, address := range addresses(c) {
			out = append(out, source{fileName(address), address})
		}
		return out, a.add("cluster/error.txt", []byte(err.Error()+"\n"))
	}
	for name, m := range map[string]proto.Message{"overview": v.OverviewResponse, "logs": &clusterv1.LogsResponse{Logs: v.logs}} {
		text, err := protojson.MarshalOptions{Multiline: true}.Marshal(m)
		if err != nil {
			return nil, err
		}
		if err := a.add("cluster/"+name+".json", text); err != nil {
			return nil, err
		}
	}
	out := make([]source, len(v.Nodes))
	for i, n := range v.Nodes {
		out[i] = source{fileName(n.Name), known(c, n.Address)}
	}
	return out, nil
}

// fileName makes a name of one segment.
func fileName(name string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(`/\:`, c) {
			return '-'
		}
		return c
	}, name)
}

// archive is the bundle in the making.
type archive struct {
	files  *tar.Writer
	at     time.Time
	broken error // no file can be added any more
}

func (a *archive) add(name string, text []byte) error {
	err := a.files.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(text)), ModTime: a.at})
	if err == nil {
		_, err = a.files.Write(text)
	}
	if err != nil {
		a.broken = fmt.Errorf("write the bundle: %w", err)
	}
	return a.broken
}

// node adds the bundle of one process. Files that came before an error stay.
func (a *archive) node(c *cli.Context, s source) error {
	ctx, cancel := context.WithTimeout(c.Context, millis(c, "request-timeout"))
	defer cancel()
	url := s.address
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/debug/bundle", http.NoBody)
	if err != nil {
		return err
	}
	client, err := httpClient(c)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // all that matters was read
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // what came is all there is to tell
		return fmt.Errorf("%s %s", resp.Status, bytes.TrimSpace(text))
	}
	zipped, err := gzip.NewReader(resp.Body)
	if err != nil {
		return fmt.Errorf("no bundle came: %w", err)
	}
	for files := tar.NewReader(zipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the bundle ends too early: %w", err)
		}
		text, err := io.ReadAll(io.LimitReader(files, nodeFileMax))
		if err != nil {
			return fmt.Errorf("the bundle ends too early: %w", err)
		}
		if err := a.add(path.Join("nodes", s.name, fileName(h.Name)), text); err != nil {
			return err
		}
	}
}
