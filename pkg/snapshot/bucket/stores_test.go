package bucket_test

import (
	"bytes"
	"errors"
	"flag"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob/azureblob"

	"reprise/pkg/snapshot/bucket"
)

// Servers that scripts/test-long starts. What the fakes do is what these do.
var (
	minioFlag   = flag.String("minio", "", "URL of a minio server of user and password minioadmin")
	gcsFlag     = flag.String("gcs", "", "URL of a fake-gcs-server")
	azuriteFlag = flag.String("azurite", "", "host:port of the blob service of Azurite")
)

// stores runs a test with each kind of store.
func stores(t *testing.T, f func(t *testing.T, b *bucket.Bucket)) {
	t.Run("memory", func(t *testing.T) { f(t, bucket.Memory()) })
	t.Run("file", func(t *testing.T) {
		f(t, open(t, bucket.Config{Destination: "file://" + t.TempDir()}))
	})
	t.Run("s3", func(t *testing.T) {
		_, b := openS3(t)
		f(t, b)
	})
	t.Run("gs", func(t *testing.T) {
		_, b := openGCS(t)
		f(t, b)
	})
	t.Run("az", func(t *testing.T) {
		_, b := openAzure(t)
		f(t, b)
	})
	servers(t, f)
}

// servers runs a test with the servers that there are.
func servers(t *testing.T, f func(t *testing.T, b *bucket.Bucket)) {
	folder := func(t *testing.T) string { return "objects/" + strings.ReplaceAll(t.Name(), "/", "-") }
	if *minioFlag != "" {
		t.Run("minio", func(t *testing.T) {
			client := s3.New(s3.Options{
				Region: "us-east-1", BaseEndpoint: minioFlag, UsePathStyle: true,
				Credentials: credentials.NewStaticCredentialsProvider("minioadmin", "minioadmin", ""),
			})
			var there *types.BucketAlreadyOwnedByYou
			if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("objects")}); err != nil && !errors.As(err, &there) {
				t.Fatal(err)
			}
			f(t, open(t, bucket.Config{Destination: "s3://" + folder(t), AWS: bucket.AWS{
				Region: "us-east-1", AccessKeyID: "minioadmin", SecretAccessKey: "minioadmin", EndpointURL: *minioFlag, AllowHTTP: true,
			}}))
		})
	}
	if *gcsFlag != "" {
		t.Run("fake-gcs-server", func(t *testing.T) {
			t.Setenv("STORAGE_EMULATOR_HOST", *gcsFlag)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, *gcsFlag+"/storage/v1/b", bytes.NewBufferString(`{"name":"objects"}`))
			must(t, err)
			req.Header.Set("Content-Type", "application/json")
			res, err := http.DefaultClient.Do(req)
			must(t, err)
			must(t, res.Body.Close())
			if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusConflict {
				t.Fatal(res.Status)
			}
			f(t, open(t, bucket.Config{Destination: "gs://" + folder(t)}))
			http.DefaultClient.CloseIdleConnections()
		})
	}
	if *azuriteFlag != "" {
		t.Run("azurite", func(t *testing.T) {
			azureEnv(t, "devstoreaccount1", *azuriteFlag)
			// The key is the same everywhere, so that nobody takes it for a secret.
			t.Setenv("AZURE_STORAGE_KEY", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")
			url, err := azureblob.NewServiceURL(azureblob.NewDefaultServiceURLOptions())
			must(t, err)
			c, err := azureblob.NewDefaultClient(url, "objects")
			must(t, err)
			if _, err := c.Create(t.Context(), nil); err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
				t.Fatal(err)
			}
			f(t, open(t, bucket.Config{Destination: "az://" + folder(t)}))
		})
	}
}

func open(t *testing.T, c bucket.Config) *bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), c)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}
