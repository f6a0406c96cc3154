// Package lambdatest is an AWS Lambda that runs functions in the test's process.
package lambdatest
