package bucket

import (
	"context"
	"errors"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"reprise/pkg/errs"
)

func openS3(ctx context.Context, at place, c Config) (store, error) {
	cfg, err := awsConfig(ctx, c.AWS)
	if err != nil {
		return nil, err
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if c.AWS.EndpointURL != "" {
			o.BaseEndpoint, o.UsePathStyle = aws.String(c.AWS.EndpointURL), true
		}
	})
	b, err := s3blob.OpenBucket(ctx, client, at.bucket, &s3blob.Options{RequestChecksumCalculation: cfg.RequestChecksumCalculation})
	if err != nil {
		return nil, err
	}
	return &cdk{blob: folder{Bucket: at.in(b)}, versions: condition{
		read: func(r *blob.Reader) (string, bool) {
			var out s3.GetObjectOutput
			ok := r.As(&out)
			return aws.ToString(out.ETag), ok
		},
		onlyIf: func(version string) func(as func(any) bool) error {
			return func(as func(any) bool) error {
				var in *transfermanager.UploadObjectInput
				if !as(&in) {
					return errHook
				}
				in.IfMatch = aws.String(version)
				return nil
			}
		},
	}}, nil
}

func awsConfig(ctx context.Context, c AWS) (aws.Config, error) {
	var load []func(*config.LoadOptions) error
	if c.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(c.Profile))
	}
	if c.Region != "" {
		load = append(load, config.WithRegion(c.Region))
	}
	if c.AccessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)))
	}
	if c.EndpointURL != "" {
		u, err := url.Parse(c.EndpointURL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			return aws.Config{}, errs.Newf(errs.Invalid, "worker.snapshots.aws-endpoint-url: %q is no URL of http or https", c.EndpointURL)
		case u.Scheme == "http" && !c.AllowHTTP:
			return aws.Config{}, errs.Newf(errs.Invalid, "worker.snapshots.aws-endpoint-url is without TLS: set worker.snapshots.aws-allow-http if that is meant")
		}
		// Stores that are not AWS do not know the checksums that are sent by default.
		load = append(load, config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
			config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err == nil && cfg.Region == "" {
		cfg.Region = "us-east-1" // something must stand in signatures; other stores do not mind
	}
	return cfg, err
}

// raced tells whether a write was refused because another one was under way. Nothing was written then.
func raced(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ConditionalRequestConflict"
}
