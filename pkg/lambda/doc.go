// Package lambda calls AWS Lambda functions that wrap an endpoint.
//
// A Function answers requests of the service protocol, one Invoke each: request and response travel
// as JSON with the body in base64, compressed if the function says that it can and the body is large.
// A Client belongs to a process; it looks for credentials when the first function is called. The AWS
// library's own retries are off: who calls decides what is tried again.
//
//	c, err := lambda.NewClient(lambda.Default())
//	resp, err := c.Invoke(ctx, f, lambda.Request{Method: "GET", Path: "/discover"})
package lambda
