package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
	"reprise/services/internal/jsondoc"
)

func (r *runner) state() *cli.Command {
	binary := &cli.BoolFlag{Name: "binary", Usage: "values are bytes, shown in base64, and not JSON"}
	force := &cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "also if it has changed meanwhile"}
	return &cli.Command{
		Name: "state", Aliases: []string{"kv"}, Usage: "see and change the state of virtual objects and workflows",
		Subcommands: []*cli.Command{
			{
				Name: "get", Usage: "show the state of a key", ArgsUsage: "<SERVICE> <KEY>",
				Flags:  []cli.Flag{binary, &cli.BoolFlag{Name: "plain", Aliases: []string{"p"}, Usage: "print nothing but JSON"}},
				Action: r.stateGet,
			},
			{
				Name: "edit", Usage: "change the state of a key in an editor", ArgsUsage: "<SERVICE> <KEY>",
				Flags: []cli.Flag{binary, force}, Action: r.stateEdit,
			},
			{
				Name: "patch", Usage: "change the state of a key", ArgsUsage: "<SERVICE> <KEY>",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "patch", Aliases: []string{"p"}, Usage: "`JSON` patch (RFC 6902) of an object with the names and values of the state"},
					binary, force,
				},
				Action: r.statePatch,
			},
			{
				Name: "clear", Usage: "remove the state of a key, or of all keys of a service", ArgsUsage: "<SERVICE[/KEY]>",
				Flags: []cli.Flag{force}, Action: r.stateClear,
			},
		},
	}
}

// keyed is a service and a key of it, from the arguments of a command.
type keyed struct{ service, key string }

func keyedArguments(c *cli.Context) (keyed, error) {
	switch c.NArg() {
	case 2:
		return keyed{c.Args().Get(0), c.Args().Get(1)}, nil
	case 0:
		return keyed{}, argv.Usagef("the following required arguments were not provided:\n  <SERVICE>\n  <KEY>")
	case 1:
		return keyed{}, argv.Usagef("the following required arguments were not provided:\n  <KEY>")
	default:
		return keyed{}, argv.Usagef("unexpected argument '%s' found", c.Args().Get(2))
	}
}

// checkStateful refuses services without state. One that is gone may have left some.
func (r *runner) checkStateful(ctx context.Context, service string) error {
	var s serviceModel
	err := r.client.get(ctx, "/services/"+escape(service), &s)
	var refused *serverError
	switch {
	case errors.As(err, &refused) && refused.status == http.StatusNotFound:
		r.warn(fmt.Sprintf("service %s is not registered; it may have been removed, or never existed", service))
		return nil
	case err != nil:
		return err
	case s.Ty == "Service":
		return hint(errors.New("only virtual objects and workflows support state"), "See which services there are: reprise services list")
	default:
		return nil
	}
}

// readState reads the values of a key.
func (r *runner) readState(ctx context.Context, of keyed) (map[string][]byte, error) {
	var rows []struct {
		Key   string   `json:"key"`
		Value hexBytes `json:"value"`
	}
	query := fmt.Sprintf("SELECT key, value FROM state WHERE service_name = %s AND service_key = %s", quote(of.service), quote(of.key))
	if err := r.client.query(ctx, query, &rows); err != nil {
		return nil, err
	}
	values := make(map[string][]byte, len(rows))
	for _, row := range rows {
		values[row.Key] = row.Value
	}
	return values, nil
}

func (r *runner) stateGet(c *cli.Context) error {
	of, err := keyedArguments(c)
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	if err := r.checkStateful(c.Context, of.service); err != nil {
		return err
	}
	values, err := r.readState(c.Context, of)
	if err != nil {
		return err
	}
	doc, err := document(values, c.Bool("binary"))
	if err != nil {
		return err
	}
	if c.Bool("plain") {
		r.printf("%s\n", jsondoc.Shown(doc))
		return nil
	}
	r.section("State")
	r.showKeyed(of)
	r.showState(doc)
	return nil
}

func (r *runner) showKeyed(of keyed, more ...[]string) {
	t := grid.Table{}
	t.Add("Service", visible(of.service))
	t.Add("Key", visible(of.key))
	for _, row := range more {
		t.Add(row...)
	}
	r.printf("%s\n", t.Draw(r.style))
}

func (r *runner) showState(doc map[string]any) {
	t := grid.Table{Header: []string{"KEY", "VALUE"}}
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		t.Add(visible(key), jsondoc.Indented(doc[key]))
	}
	r.printf("%s\n", t.Draw(r.style))
}

func (r *runner) stateEdit(c *cli.Context) error {
	return r.changeState(c, "State Update", func(doc map[string]any) (any, error) {
		text, err := r.edit(c.Context, "state.json", jsondoc.Indented(doc)+"\n")
		if err != nil {
			return nil, err
		}
		changed, err := jsondoc.Parse([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("the edited text is no JSON: %w", err)
		}
		return changed, nil
	})
}

func (r *runner) statePatch(c *cli.Context) error {
	if !c.IsSet("patch") {
		return argv.Usagef("the following required arguments were not provided:\n  --patch <PATCH>")
	}
	steps, err := jsondoc.ParsePatch(c.String("patch"))
	if err != nil {
		return err
	}
	return r.changeState(c, "Patch State", func(doc map[string]any) (any, error) { return jsondoc.Apply(doc, steps) })
}

// changeState replaces the state of a key by what change makes of it.
func (r *runner) changeState(c *cli.Context, title string, change func(map[string]any) (any, error)) error {
	of, err := keyedArguments(c)
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	if err := r.checkStateful(c.Context, of.service); err != nil {
		return err
	}
	before, err := r.readState(c.Context, of)
	if err != nil {
		return err
	}
	binary := c.Bool("binary")
	doc, err := document(before, binary)
	if err != nil {
		return err
	}
	changed, err := change(doc)
	if err != nil {
		return err
	}
	object, ok := changed.(map[string]any)
	if !ok {
		return errors.New("the state has to be an object with a value for each name")
	}
	after, err := values(object, before, binary)
	if err != nil {
		return err
	}
	if maps.EqualFunc(before, after, slices.Equal) {
		r.printf("Nothing changes.\n")
		return nil
	}
	r.section(title)
	r.showKeyed(of, []string{"Force?", fmt.Sprint(c.Bool("force"))}, []string{"Binary?", fmt.Sprint(binary)})
	r.section("New State")
	r.showState(object)
	if err := r.confirm(mutationNote + "\n\nAre you sure?"); err != nil {
		return err
	}
	if err := r.mutate(c, of, before, after); err != nil {
		return err
	}
	r.printf("\n")
	r.ok("State update of %s/%s submitted", visible(of.service), visible(of.key))
	return nil
}

// mutationNote says when a change of state happens.
const mutationNote = "The change is submitted to the system: if there are active invocations of a key, it comes after them.\n" +
	"Unless forced, it does nothing where the state has changed by then."

// mutate replaces the state of a key, as of before unless forced.
func (r *runner) mutate(c *cli.Context, of keyed, before, after map[string][]byte) error {
	in := mutation{Key: of.key, State: map[string]numbers{}}
	if !c.Bool("force") {
		version := etag(before)
		in.Version = &version
	}
	for name, value := range after {
		in.State[name] = value
	}
	return r.client.call(c.Context, http.MethodPost, "/services/"+escape(of.service)+"/state", in, nil)
}

func (r *runner) stateClear(c *cli.Context) error {
	what, err := argument(c, "SERVICE[/KEY]")
	if err != nil {
		return err
	}
	service, key, one := strings.Cut(what, "/")
	if service == "" || one && key == "" {
		return argv.Usagef("invalid value '%s': <SERVICE[/KEY]>", what)
	}
	if err := r.connect(c); err != nil {
		return err
	}
	found, err := r.stateOf(c.Context, service, key, one)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("no state found")
	}
	keys := slices.Sorted(maps.Keys(found))
	t := grid.Table{Header: []string{"SERVICE/KEY", "STATE"}}
	for _, k := range keys[:min(len(keys), shownMax)] {
		t.Add(visible(service+"/"+k), visible("["+strings.Join(slices.Sorted(maps.Keys(found[k])), ", ")+"]"))
	}
	r.printf("%s\n", t.Draw(r.style))
	if len(keys) > shownMax {
		r.printf(" ... and %d more keys\n", len(keys)-shownMax)
	}
	if err := r.confirm(mutationNote + fmt.Sprintf("\n\nAre you sure you want to remove the state of %s?", times(len(keys), "key"))); err != nil {
		return err
	}
	return r.clearAll(c, service, keys, found)
}

// clearAll clears key by key, and says what could not be done.
func (r *runner) clearAll(c *cli.Context, service string, keys []string, found map[string]map[string][]byte) error {
	bar := r.newBar(len(keys))
	failed := 0
	for _, k := range keys {
		if err := r.mutate(c, keyed{service, k}, found[k], nil); err != nil {
			if c.Context.Err() != nil {
				return err
			}
			failed++
			r.note(visible(service+"/"+k) + ": " + err.Error())
		}
		bar.add(1)
	}
	bar.end()
	if failed < len(keys) {
		r.printf("\n")
		r.ok("Removal of the state of %s submitted", times(len(keys)-failed, "key"))
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s could not be cleared", failed, times(len(keys), "key"))
	}
	return nil
}

// stateOf reads the state of a key or of all keys of a service.
func (r *runner) stateOf(ctx context.Context, service, key string, one bool) (map[string]map[string][]byte, error) {
	var rows []struct {
		ServiceKey string   `json:"service_key"`
		Key        string   `json:"key"`
		Value      hexBytes `json:"value"`
	}
	query := "SELECT service_key, key, value FROM state WHERE service_name = " + quote(service)
	if one {
		query += " AND service_key = " + quote(key)
	}
	if err := r.client.query(ctx, query, &rows); err != nil {
		return nil, err
	}
	found := map[string]map[string][]byte{}
	for _, row := range rows {
		if found[row.ServiceKey] == nil {
			found[row.ServiceKey] = map[string][]byte{}
		}
		found[row.ServiceKey][row.Key] = row.Value
	}
	return found, nil
}
