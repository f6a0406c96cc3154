package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/pkg/id"
	"reprise/services/internal/argv"
)

// invocationStatuses are the values of sys_invocation.status.
var invocationStatuses = []string{"scheduled", "pending", "ready", "running", "suspended", "backing-off", "paused", "completed"}

// selectFlags are the flags that say which invocations are meant. Where --deployment means something else, it is not one.
func selectFlags(deployment bool) []cli.Flag {
	flags := []cli.Flag{
		&cli.StringSliceFlag{Name: "service", Usage: "invocations of this `SERVICE`"},
		&cli.StringSliceFlag{Name: "handler", Usage: "invocations of this `HANDLER`"},
		&cli.StringSliceFlag{Name: "key", Usage: "invocations of the object or workflow with this `KEY`"},
		&cli.StringSliceFlag{Name: "status", Usage: "invocations with this `STATUS`: " + strings.Join(invocationStatuses, ", ")},
		&cli.StringFlag{Name: "completion-result", Usage: "completed invocations with this `RESULT`: success or failure"},
	}
	if deployment {
		flags = append(flags, &cli.StringSliceFlag{
			Name: "deployment", Aliases: []string{"dp"}, Usage: "invocations that are pinned to the deployment with this `ID`, or tried it last",
		})
	}
	return flags
}

// selected are the conditions of the flags that say which invocations are meant; columns are those of inv.
func selected(c *cli.Context, deployment bool) ([]string, error) {
	var where []string
	in := func(flag, column string) {
		if values := c.StringSlice(flag); len(values) > 0 {
			where = append(where, fmt.Sprintf("inv.%s IN (%s)", column, quoteAll(values)))
		}
	}
	in("service", "target_service_name")
	in("handler", "target_handler_name")
	in("key", "target_service_key")
	for _, s := range c.StringSlice("status") {
		if !slices.Contains(invocationStatuses, s) {
			return nil, argv.Usagef("invalid value '%s' for '--status': one of %s", s, strings.Join(invocationStatuses, ", "))
		}
	}
	in("status", "status")
	switch result := c.String("completion-result"); result {
	case "":
	case "success", "failure":
		where = append(where, "inv.status = 'completed'", "inv.completion_result = "+quote(result))
	default:
		return nil, argv.Usagef("invalid value '%s' for '--completion-result': success or failure", result)
	}
	if deployments := c.StringSlice("deployment"); deployment && len(deployments) > 0 {
		list := quoteAll(deployments)
		where = append(where, fmt.Sprintf("(inv.pinned_deployment_id IN (%s) OR inv.last_attempt_deployment_id IN (%s))", list, list))
	}
	return where, nil
}

// forms are what a command that changes invocations takes.
const forms = "<ID | Service | Service/handler | Object | Object/key | Object/key/handler>"

// matching is the condition for the invocations that a word names.
func matching(word string) (string, error) {
	if strings.HasPrefix(word, "inv_") && !strings.Contains(word, "/") {
		if _, err := id.ParseInvocation(word); err != nil {
			return "", argv.Usagef("'%s' is no id of an invocation: %v", word, err)
		}
		return "inv.id = " + quote(word), nil
	}
	service, rest, two := strings.Cut(word, "/")
	if service == "" || two && rest == "" {
		return "", argv.Usagef("invalid value '%s': one of %s", word, forms)
	}
	named := "inv.target_service_name = " + quote(service)
	switch {
	case !two:
		return named, nil
	case strings.Contains(rest, "/"):
		return named + " AND inv.target = " + quote(word), nil
	default:
		return fmt.Sprintf("%s AND (inv.target_service_ty = 'service' AND inv.target_handler_name = %[2]s"+
			" OR inv.target_service_ty != 'service' AND inv.target_service_key = %[2]s)", named, quote(rest)), nil
	}
}
