package lambda

import (
	"fmt"
	"regexp"
	"strings"
)

// Function names what is called.
type Function struct {
	ARN  string // with a version or an alias
	Role string // ARN of the role to take before; "" for none
	Zstd bool   // it takes and gives compressed bodies
}

var (
	regionPattern    = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d+$`)
	accountPattern   = regexp.MustCompile(`^\d{1,12}$`)
	namePattern      = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	qualifierPattern = regexp.MustCompile(`^(\$LATEST|[a-zA-Z0-9_-]{1,128})$`)
	rolePattern      = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\x21-\x7e]{1,512}$`)
)

// arnParts of arn:aws:lambda:REGION:ACCOUNT:function:NAME:VERSION.
const arnParts = 8

// CheckARN tells what is wrong with the ARN of a function, which must name a version or an alias: what an
// invocation began on may not change below it.
func CheckARN(arn string) error {
	p := strings.Split(arn, ":")
	switch {
	case len(p) == arnParts-1 && p[0] == "arn" && p[2] == "lambda":
		return fmt.Errorf("%q has no version: a qualified ARN has %d parts, with : between them", arn, arnParts)
	case len(p) != arnParts:
		return fmt.Errorf("%q has %d parts: a qualified ARN has %d parts, with : between them", arn, len(p), arnParts)
	case p[0] != "arn" || p[1] != "aws" && !strings.HasPrefix(p[1], "aws-"):
		return fmt.Errorf("%q is no ARN of AWS", arn)
	case p[2] != "lambda" || p[5] != "function":
		return fmt.Errorf("%q is not that of a Lambda function", arn)
	case !regionPattern.MatchString(p[3]):
		return fmt.Errorf("%q: %q is no region", arn, p[3])
	case !accountPattern.MatchString(p[4]):
		return fmt.Errorf("%q: %q is no account", arn, p[4])
	case !namePattern.MatchString(p[6]):
		return fmt.Errorf("%q: %q is no name of a function", arn, p[6])
	case !qualifierPattern.MatchString(p[7]):
		return fmt.Errorf("%q: %q is neither a version nor an alias", arn, p[7])
	}
	return nil
}

// CheckRole tells what is wrong with the ARN of a role.
func CheckRole(arn string) error {
	if !rolePattern.MatchString(arn) {
		return fmt.Errorf("%q is no ARN of a role", arn)
	}
	return nil
}

// region of a function whose ARN was checked.
func (f Function) region() string {
	p := strings.Split(f.ARN, ":")
	if len(p) != arnParts {
		return ""
	}
	return p[3]
}
