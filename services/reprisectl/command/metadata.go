package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/urfave/cli/v2"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/services/internal/argv"
	"reprise/services/internal/jsondoc"
)

// documentMax is how large a document on the standard input may be.
const documentMax = 8 << 20

func (r *runner) metadata() *cli.Command {
	key := func() cli.Flag {
		return &cli.StringFlag{Name: "key", Aliases: []string{"k"}, Usage: "`KEY` of the document: cluster, schema, nodes/<id>, epochs/<partition> or chains/<partition>", Required: true}
	}
	dry := func() cli.Flag {
		return &cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "show the document as it would be, and change nothing"}
	}
	return &cli.Command{
		Name: "metadata", Aliases: []string{"meta"}, Usage: "read and write documents of the metadata, past all checks",
		Subcommands: []*cli.Command{
			{Name: "get", Usage: "print a document", Flags: []cli.Flag{key(), jsonFlag()}, Action: r.bare(r.metadataGet)},
			{Name: "put", Usage: "replace a document", ArgsUsage: "[DOCUMENT]", Flags: []cli.Flag{key(), dry()}, Action: r.with(r.metadataPut)},
			{
				Name: "patch", Usage: "change a document by a JSON patch", Action: r.bare(r.metadataPatch),
				Flags: []cli.Flag{key(), &cli.StringFlag{Name: "patch", Aliases: []string{"p"}, Usage: "`PATCH` as RFC 6902 has it", Required: true}, dry()},
			},
		},
	}
}

func (r *runner) document(c *cli.Context) (a *clusterv1.GetDocumentResponse, err error) {
	err = r.ask(c, false, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
		a, err = o.GetDocument(ctx, &clusterv1.GetDocumentRequest{Key: c.String("key")})
		return err
	})
	return a, err
}

func (r *runner) metadataGet(c *cli.Context) error {
	a, err := r.document(c)
	if err != nil {
		return err
	}
	return r.printJSON(json.RawMessage(a.Json))
}

func (r *runner) metadataPut(c *cli.Context) error {
	if c.NArg() > 1 {
		return argv.Usagef("unexpected argument '%s' found", c.Args().Get(1))
	}
	text := []byte(c.Args().First())
	if !c.Args().Present() {
		var err error
		if text, err = io.ReadAll(io.LimitReader(r.in, documentMax)); err != nil {
			return fmt.Errorf("read the document: %w", err)
		}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return argv.Usagef("a document is required: as an argument, or on the standard input")
	}
	if !json.Valid(text) {
		return errors.New("the document is no JSON")
	}
	a, err := r.document(c)
	if err != nil {
		return fmt.Errorf("only a document that exists can be replaced: %w", err)
	}
	return r.replaceDocument(c, a.Version, text)
}

func (r *runner) metadataPatch(c *cli.Context) error {
	steps, err := jsondoc.ParsePatch(c.String("patch"))
	if err != nil {
		return err
	}
	a, err := r.document(c)
	if err != nil {
		return err
	}
	doc, err := jsondoc.Parse([]byte(a.Json))
	if err == nil {
		doc, err = jsondoc.Apply(doc, steps)
	}
	if err != nil {
		return err
	}
	return r.replaceDocument(c, a.Version, jsondoc.Exact(doc))
}

// replaceDocument shows a document as it shall be and writes it, if it still has the version that was read.
func (r *runner) replaceDocument(c *cli.Context, version int64, text []byte) error {
	key := c.String("key")
	if err := r.printJSON(json.RawMessage(text)); err != nil {
		return err
	}
	if c.Bool("dry-run") {
		r.warn("nothing was changed: --dry-run is set")
		return nil
	}
	if err := r.confirm(fmt.Sprintf("%s (v%d) will be replaced. A wrong document may stop the cluster. Go on?", key, version)); err != nil {
		return err
	}
	return r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) error {
		_, err := o.PutDocument(ctx, &clusterv1.PutDocumentRequest{Key: key, Json: string(text), Version: version})
		return err
	})
}

func (r *runner) metadataServer() *cli.Command {
	return &cli.Command{
		Name: "metadata-server", Aliases: []string{"metadata-servers"}, Usage: "look at the members of the metadata quorum, and change them",
		Subcommands: append([]*cli.Command{
			{Name: "list", Aliases: []string{"ls"}, Usage: "list the members", Flags: []cli.Flag{jsonFlag()}, Action: r.bare(r.metadataServerList)},
		}, r.memberCommands()...),
	}
}

func (r *runner) metadataServerList(c *cli.Context) error {
	l, err := r.membersTable(c)
	if err != nil {
		return err
	}
	return r.show("", l)
}

// membersTable has a line for each member of the metadata quorum; who does not answer is said, too.
func (r *runner) membersTable(c *cli.Context) (*listing, error) {
	var a *clusterv1.MetadataMembersResponse
	err := r.ask(c, false, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
		a, err = o.MetadataMembers(ctx, &clusterv1.MetadataMembersRequest{})
		return err
	})
	if err != nil {
		return nil, err
	}
	names := map[uint64]string{}
	var all []string
	for _, m := range a.Members {
		if names[m.Id] = m.Name; m.Name == "" {
			names[m.Id] = strconv.FormatUint(m.Id, 16)
		}
		all = append(all, names[m.Id])
	}
	l := &listing{header: []string{"NODE", "STATUS", "VERSION", "LEADER", "MEMBERS", "APPLIED", "COMMITTED", "TERM", "DB-BYTES"}}
	for _, m := range a.Members {
		if m.Error != "" {
			r.warn("%s does not answer: %s", names[m.Id], m.Error)
			l.add(names[m.Id], "Unreachable", nil, nil, all, nil, nil, nil, nil)
			continue
		}
		status := "Member"
		if m.Learner {
			status = "Learner"
		}
		var leader any
		if m.Leader != 0 {
			leader = names[m.Leader]
		}
		l.add(names[m.Id], status, m.Version, leader, all, m.Applied, m.Committed, m.Term, m.DbBytes)
	}
	return l, nil
}
