package devserver

import (
	"bytes"
	"context"
	"fmt"
)

// Snapshot returns a snapshot of the storage of the cluster, which must have an active node.
func (s *Server) Snapshot(ctx context.Context) ([]byte, error) {
	active, err := s.AwaitActive(ctx)
	if err != nil {
		return nil, err
	}
	var snapshot bytes.Buffer
	if err := active.client.Sys().RaftSnapshotWithContext(ctx, &snapshot); err != nil {
		return nil, fmt.Errorf("%s: take a snapshot: %w", active.name, err)
	}
	return snapshot.Bytes(), nil
}

// RestoreSnapshot replaces the storage of the only node by an earlier snapshot of its own, and waits until the node is
// active again. Vault keeps the keys, so that it stays unsealed, or is unsealed here.
func (s *Server) RestoreSnapshot(ctx context.Context, snapshot []byte) error {
	n := s.nodes[0]
	if err := n.client.Sys().RaftSnapshotRestoreWithContext(ctx, bytes.NewReader(snapshot), false); err != nil {
		return fmt.Errorf("%s: restore its own snapshot: %w", n.name, err)
	}
	status, err := n.probe.Sys().SealStatusWithContext(ctx)
	if err != nil {
		return fmt.Errorf("%s: seal status after the restore: %w", n.name, err)
	}
	if status.Sealed {
		return n.Unseal(ctx)
	}
	return n.awaitReady(ctx)
}

// RestoreCopy replaces the storage of the only node by a snapshot of another server, and unseals it with the keys of that
// server. Both servers run then, as a restored copy next to the original. The plugin must be installed in the same file
// as there.
func (s *Server) RestoreCopy(ctx context.Context, snapshot []byte, original *Server) error {
	n := s.nodes[0]
	if err := n.client.Sys().RaftSnapshotRestoreWithContext(ctx, bytes.NewReader(snapshot), true); err != nil {
		return fmt.Errorf("%s: restore the snapshot: %w", n.name, err)
	}
	// Vault seals itself: the restored storage needs the original's keys.
	wait, cancel := context.WithTimeout(ctx, nodeDeadline)
	defer cancel()
	err := n.process().await(wait, "the seal after the restore", func(ctx context.Context) (bool, error) {
		status, err := n.probe.Sys().SealStatusWithContext(ctx)
		return err == nil && status.Sealed, nil
	})
	if err != nil {
		return err
	}
	s.rootToken, s.unsealKey = original.rootToken, original.unsealKey
	n.client.SetToken(s.rootToken)
	s.state = original.state
	return n.Unseal(ctx)
}
