package devserver

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"
)

// shortenStabilization makes Vault give a new node its vote after one healthy second instead of ten. n is the first node of
// the cluster.
func shortenStabilization(ctx context.Context, n *Node) error {
	// The client's own method for this would also send Enterprise settings, which other editions refuse.
	_, err := n.client.Logical().WriteWithContext(ctx, "sys/storage/raft/autopilot/configuration",
		map[string]any{"server_stabilization_time": "1s"})
	if err != nil {
		return fmt.Errorf("%s: configure autopilot: %w", n.name, err)
	}
	return nil
}

// join makes the node a member of leader's cluster, once the node is unsealed.
func (n *Node) join(ctx context.Context, leader *Node) error {
	answer, err := n.client.Sys().RaftJoinWithContext(ctx, &api.RaftJoinRequest{LeaderAPIAddr: leader.Address()})
	if err == nil && !answer.Joined {
		err = errors.New("the leader did not accept it")
	}
	if err != nil {
		return fmt.Errorf("%s: join the cluster: %w", n.name, err)
	}
	return nil
}

// awaitVoters waits until every node of a cluster has a vote. Without these votes, the cluster would not survive the loss of
// the first node.
func (s *Server) awaitVoters(ctx context.Context) error {
	if len(s.nodes) == 1 {
		return nil
	}
	first := s.nodes[0]
	ctx, cancel := context.WithTimeout(ctx, nodeDeadline)
	defer cancel()
	return first.process().await(ctx, "all nodes to have a vote", func(ctx context.Context) (bool, error) {
		answer, err := first.client.Logical().ReadWithContext(ctx, "sys/storage/raft/configuration")
		if err != nil {
			return false, err
		}
		voters := 0
		config, _ := answer.Data["config"].(map[string]any)
		servers, _ := config["servers"].([]any)
		for _, entry := range servers {
			if server, ok := entry.(map[string]any); ok && server["voter"] == true {
				voters++
			}
		}
		return voters == len(s.nodes), nil
	})
}
