package command

import "strings"

// What the admin API answers, as far as it is shown.
type (
	deploymentModel struct {
		ID          string            `json:"id"`
		URI         string            `json:"uri"`
		ARN         string            `json:"arn"`
		Role        string            `json:"assume_role_arn"`
		Protocol    string            `json:"protocol_type"`
		HTTPVersion string            `json:"http_version"`
		CreatedAt   string            `json:"created_at"`
		MinProtocol int               `json:"min_protocol_version"`
		MaxProtocol int               `json:"max_protocol_version"`
		SDK         string            `json:"sdk_version"`
		Headers     map[string]string `json:"additional_headers"`
		Metadata    map[string]string `json:"metadata"`
		Services    []serviceModel    `json:"services"` // name and revision only in lists
		Info        []noticeModel     `json:"info"`
	}
	serviceModel struct {
		Name       string            `json:"name"`
		Ty         string            `json:"ty"`
		Revision   int               `json:"revision"`
		Deployment string            `json:"deployment_id"`
		Public     bool              `json:"public"`
		Doc        string            `json:"documentation"`
		Metadata   map[string]string `json:"metadata"`
		Handlers   []handlerModel    `json:"handlers"`
		Info       []noticeModel     `json:"info"`

		Idempotency string     `json:"idempotency_retention"`
		Workflow    string     `json:"workflow_completion_retention"`
		Journal     string     `json:"journal_retention"`
		Inactivity  string     `json:"inactivity_timeout"`
		Abort       string     `json:"abort_timeout"`
		LazyState   bool       `json:"enable_lazy_state"`
		Retry       retryModel `json:"retry_policy"`
	}
	retryModel struct {
		Initial  string  `json:"initial_interval"`
		Factor   float64 `json:"exponentiation_factor"`
		Attempts *int    `json:"max_attempts"`
		Max      string  `json:"max_interval"`
		OnMax    string  `json:"on_max_attempts"`
	}
	handlerModel struct {
		Name   string `json:"name"`
		Ty     string `json:"ty"`
		Public bool   `json:"public"`
		Input  string `json:"input_description"`
		Output string `json:"output_description"`
		Doc    string `json:"documentation"`
	}
	noticeModel struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	deploymentsModel struct {
		Deployments []deploymentModel `json:"deployments"`
	}
	servicesModel struct {
		Services []serviceModel `json:"services"`
	}
)

// address is where a deployment is.
func (d deploymentModel) address() string {
	if d.ARN != "" {
		return d.ARN
	}
	return d.URI
}

// kind is the column DEPLOYMENT-TYPE.
func (d deploymentModel) kind() string {
	switch {
	case d.ARN != "":
		return "AWS Lambda"
	case d.URI != "":
		return "HTTP"
	default:
		return ""
	}
}

// flavor is the column FLAVOR: plain services have none.
func (s serviceModel) flavor() string {
	switch s.Ty {
	case "VirtualObject":
		return "virtual object"
	case "Workflow":
		return "workflow"
	case "Service":
		return ""
	default:
		return s.Ty
	}
}

func visibility(public bool) string {
	if public {
		return "[public]"
	}
	return "[private]"
}

// handlerNames lists the handlers, one a line.
func (s serviceModel) handlerNames() string {
	names := make([]string, len(s.Handlers))
	for i, h := range s.Handlers {
		names[i] = h.Name
	}
	return strings.Join(names, "\n")
}
