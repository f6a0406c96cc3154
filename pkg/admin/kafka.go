package admin

import (
	"context"
	"net/http"

	adminv1 "reprise/api/admin/v1"
)

// Kafka is not built: there are no clusters and no subscriptions, and none can be made. What a request lacks
// is told first, as ever.

// notBuilt refuses what a later release is to do.
func notBuilt(what string) error {
	return refuse(http.StatusNotImplemented, "%s are not supported by this server yet: nothing was changed", what)
}

// missing refuses a body without one of its fields.
func missing(name string) error {
	return misfit(http.StatusUnprocessableEntity, "%smissing field `%s`", misshapen, name)
}

func (c *calls) ListSubscriptions(context.Context, *adminv1.ListSubscriptionsRequest) (*adminv1.ListSubscriptionsResponse, error) {
	return &adminv1.ListSubscriptionsResponse{}, nil
}

func (c *calls) CreateSubscription(_ context.Context, q *adminv1.CreateSubscriptionRequest) (*adminv1.Subscription, error) {
	switch {
	case q.Source == nil:
		return nil, missing("source")
	case q.Sink == nil:
		return nil, missing("sink")
	}
	return nil, notBuilt("Kafka subscriptions")
}

func (c *calls) GetSubscription(_ context.Context, q *adminv1.GetSubscriptionRequest) (*adminv1.Subscription, error) {
	return nil, refuse(http.StatusNotFound, "The requested subscription '%s' does not exist", q.Subscription)
}

func (c *calls) DeleteSubscription(_ context.Context, q *adminv1.DeleteSubscriptionRequest) (*adminv1.OperationResponse, error) {
	return nil, refuse(http.StatusNotFound, "not found in the schema registry: subscription with id '%s'", q.Subscription)
}

func (c *calls) ListKafkaClusters(context.Context, *adminv1.ListKafkaClustersRequest) (*adminv1.ListKafkaClustersResponse, error) {
	return &adminv1.ListKafkaClustersResponse{}, nil
}

func (c *calls) CreateKafkaCluster(_ context.Context, q *adminv1.CreateKafkaClusterRequest) (*adminv1.KafkaCluster, error) {
	switch {
	case q.Name == nil:
		return nil, missing("name")
	case q.Properties == nil:
		return nil, missing("properties")
	case q.Properties["bootstrap.servers"] == "" && q.Properties["metadata.broker.list"] == "":
		return nil, refuse(http.StatusBadRequest, "The properties of the Kafka cluster '%s' have neither 'bootstrap.servers' nor 'metadata.broker.list'", *q.Name)
	}
	return nil, notBuilt("Kafka clusters")
}

func (c *calls) GetKafkaCluster(_ context.Context, q *adminv1.GetKafkaClusterRequest) (*adminv1.DetailedKafkaCluster, error) {
	return nil, refuse(http.StatusNotFound, "The requested Kafka cluster '%s' does not exist", q.ClusterName)
}

func (c *calls) UpdateKafkaCluster(_ context.Context, q *adminv1.UpdateKafkaClusterRequest) (*adminv1.KafkaCluster, error) {
	if q.Properties == nil {
		return nil, missing("properties")
	}
	return nil, unknownKafkaCluster(q.ClusterName)
}

func (c *calls) DeleteKafkaCluster(_ context.Context, q *adminv1.DeleteKafkaClusterRequest) (*adminv1.OperationResponse, error) {
	return nil, unknownKafkaCluster(q.ClusterName)
}

func unknownKafkaCluster(name string) error {
	return refuse(http.StatusNotFound, "not found in the schema registry: kafka cluster named '%s'", name)
}
