package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"reprise/pkg/schema"
)

// normalize returns the URI of a deployment as it is stored: absolute, with a path, without a fragment.
func normalize(text string) (string, error) {
	if !strings.Contains(text, "://") {
		return "", badURI("the provided uri %s is not absolute, only absolute URIs can be used", text)
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", badURI("%s", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", badURI("the scheme of %s is neither http nor https", text)
	}
	if u.Hostname() == "" {
		return "", badURI("%s has no host", text)
	}
	u.Fragment, u.RawFragment = "", ""
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

func badURI(format string, args ...any) error {
	return &schema.Error{Status: http.StatusBadRequest, Message: "The request field 'uri' is invalid. Reason: " + fmt.Sprintf(format, args...)}
}
