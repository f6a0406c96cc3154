package admin

import (
	"context"
	"net/http"

	adminv1 "reprise/api/admin/v1"
)

func (c *calls) Health(context.Context, *adminv1.HealthRequest) (*adminv1.HealthResponse, error) {
	return &adminv1.HealthResponse{}, nil
}

func (c *calls) ClusterHealth(context.Context, *adminv1.ClusterHealthRequest) (*adminv1.ClusterHealthResponse, error) {
	if c.health == nil {
		return nil, misfit(http.StatusServiceUnavailable, "this server knows of no cluster")
	}
	name, members, ok := c.health()
	if !ok {
		return nil, misfit(http.StatusServiceUnavailable, "the cluster is not provisioned yet")
	}
	return &adminv1.ClusterHealthResponse{ClusterName: name, MetadataClusterHealth: &adminv1.MetadataHealth{Members: members}}, nil
}

func (c *calls) Openapi(context.Context, *adminv1.OpenapiRequest) (*adminv1.Document, error) {
	return &adminv1.Document{Text: c.document}, nil
}

func (c *calls) ServiceOpenapi(_ context.Context, q *adminv1.ServiceOpenapiRequest) (*adminv1.Document, error) {
	s, err := find(c.reg.Current(), q.Service)
	if err != nil {
		return nil, err
	}
	text, err := serviceOpenapi(s, c.ingressURL())
	return &adminv1.Document{Text: text}, err
}

// Query is reached only if nothing here answers SQL.
func (c *calls) Query(context.Context, *adminv1.QueryRequest) (*adminv1.Document, error) {
	return nil, refuse(http.StatusServiceUnavailable, "this server answers no SQL")
}
