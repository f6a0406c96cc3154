package bucket

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"

	"reprise/pkg/errs"
)

// Config is where an object store is, and how it is reached.
type Config struct {
	// Destination is s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder.
	Destination string
	// AWS is for s3. What is empty comes from the environment and files of the AWS tools.
	AWS AWS
}

// AWS is about s3 and stores that speak it.
type AWS struct {
	Profile         string
	Region          string
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	EndpointURL     string // of a store that is not AWS
	AllowHTTP       bool   // the endpoint may be reached without TLS
}

// Open opens the folder of an object store. It asks it nothing yet.
func Open(ctx context.Context, c Config) (*Bucket, error) {
	u, err := url.Parse(c.Destination)
	if err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errs.Newf(errs.Invalid, "worker.snapshots.destination: only a bucket and a prefix may stand in it")
	}
	if u.Scheme == "file" {
		if u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return nil, errs.Newf(errs.Invalid, "worker.snapshots.destination: a folder is written file:///path")
		}
		return File(filepath.FromSlash(u.Path))
	}
	open := drivers[u.Scheme]
	if open == nil {
		return nil, errs.Newf(errs.Invalid, "worker.snapshots.destination: %q is none of s3, gs, az, file", u.Scheme)
	}
	if u.Host == "" {
		return nil, errs.Newf(errs.Invalid, "worker.snapshots.destination: it names no bucket")
	}
	b, err := open(ctx, u.Host, c)
	if err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		b.blob = blob.PrefixedBucket(b.blob, prefix+"/")
	}
	return b, nil
}

// drivers by scheme.
var drivers = map[string]func(ctx context.Context, bucket string, c Config) (*Bucket, error){
	"s3": openS3,
}
