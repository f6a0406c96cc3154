package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/lambda"
	"reprise/pkg/schema"
)

// normalize returns the URI of a deployment as it is stored: absolute, with a path, without a fragment.
func normalize(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", badURI(http.StatusUnprocessableEntity, "%q is no URI", text)
	case !strings.Contains(text, "://"):
		return "", badURI(http.StatusBadRequest, "%s is not absolute: an absolute URI begins with http:// or https://", text)
	case err != nil:
		return "", badURI(http.StatusUnprocessableEntity, "%s", err)
	case u.Hostname() == "":
		return "", badURI(http.StatusUnprocessableEntity, "%s has no host", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", badURI(http.StatusBadRequest, "the scheme of %s is neither http nor https", text)
	}
	u.Fragment, u.RawFragment = "", ""
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

func badURI(status int, format string, args ...any) error {
	return &schema.Error{Status: status, Message: "The request field 'uri' is invalid. Reason: " + fmt.Sprintf(format, args...)}
}

// function makes the address of a function.
func function(arn, role string) (*storedv1.Lambda, error) {
	if err := lambda.CheckARN(arn); err != nil {
		return nil, &schema.Error{Status: http.StatusBadRequest, Message: "The request field 'arn' is invalid. Reason: " + err.Error()}
	}
	if role != "" {
		if err := lambda.CheckRole(role); err != nil {
			return nil, &schema.Error{Status: http.StatusBadRequest, Message: "The request field 'assume_role_arn' is invalid. Reason: " + err.Error()}
		}
	}
	return &storedv1.Lambda{Arn: arn, AssumeRoleArn: role}, nil
}
