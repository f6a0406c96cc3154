package bucket

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	azureobject "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
)

// openAzure takes account and credentials from the environment, as the tools of Azure do.
func openAzure(ctx context.Context, at place, _ Config) (store, error) {
	url, err := azureblob.NewServiceURL(azureblob.NewDefaultServiceURLOptions())
	if err != nil {
		return nil, err
	}
	client, err := azureblob.NewDefaultClient(url, azureblob.ContainerName(at.bucket))
	if err != nil {
		return nil, err
	}
	b, err := azureblob.OpenBucket(ctx, client, nil)
	if err != nil {
		return nil, err
	}
	return &cdk{blob: folder{Bucket: at.in(b), uploads: true}, versions: condition{
		read: func(r *blob.Reader) (string, bool) {
			var out azureobject.DownloadStreamResponse
			if !r.As(&out) || out.ETag == nil {
				return "", false
			}
			return string(*out.ETag), true
		},
		onlyIf: func(version string) func(as func(any) bool) error {
			return func(as func(any) bool) error {
				var o *azblob.UploadStreamOptions
				if !as(&o) {
					return errHook
				}
				etag := azcore.ETag(version)
				o.AccessConditions = &azblob.AccessConditions{ModifiedAccessConditions: &azureobject.ModifiedAccessConditions{IfMatch: &etag}}
				return nil
			}
		},
	}}, nil
}
