package devserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// freePorts returns n different TCP ports of the loopback interface that nobody listened on a moment
// ago. Somebody may take one before it is used: whoever asks must be ready to ask again.
func freePorts(ctx context.Context, n int) (ports []int, err error) {
	var config net.ListenConfig
	var listeners []net.Listener
	// All stay open until all are found, so that all differ.
	defer func() {
		for _, listener := range listeners {
			_ = listener.Close()
		}
	}()
	for range n {
		listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		listeners = append(listeners, listener)
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("find a free port: the listener has no TCP address")
		}
		ports = append(ports, address.Port)
	}
	return ports, nil
}

// portTaken tells whether a server's output says that its port was in use.
func portTaken(output string) bool {
	return strings.Contains(output, "address already in use")
}
