package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const (
	secretType = "constant"
	configKey  = "config"
	// recordSize is the length of a stored record in bytes: that of an entry in the engine's ledger.
	recordSize = 700
	// leaseTTL is the TTL of a lease.
	leaseTTL = 10 * time.Minute
)

// vendor is the request that stands for a call to a vendor.
type vendor struct {
	URL    string            `json:"url"`
	CACert string            `json:"ca_cert"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

// engine is one mount of the null engine.
type engine struct {
	*framework.Backend
	line atomic.Pointer[line]
}

// line is a vendor and the client that reaches it.
type line struct {
	vendor vendor
	client *http.Client
}

func factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	e := &engine{}
	e.Backend = &framework.Backend{
		Help:        "Leases a constant.",
		BackendType: logical.TypeLogical,
		Paths: []*framework.Path{
			{
				Pattern: "config$",
				Fields: map[string]*framework.FieldSchema{
					"url":     {Type: framework.TypeString, Description: "URL of the vendor call."},
					"ca_cert": {Type: framework.TypeString, Description: "PEM certificates to trust."},
					"header":  {Type: framework.TypeKVPairs, Description: "Header of the vendor call."},
					"body":    {Type: framework.TypeString, Description: "Body of the vendor call."},
				},
				Operations: map[logical.Operation]framework.OperationHandler{
					logical.UpdateOperation: &framework.PathOperation{Callback: e.writeConfig},
				},
			},
			{
				Pattern: "creds/(?P<role>[^/]+)$",
				Fields:  map[string]*framework.FieldSchema{"role": {Type: framework.TypeString, Description: "Name of the workload."}},
				Operations: map[logical.Operation]framework.OperationHandler{
					logical.ReadOperation: &framework.PathOperation{Callback: e.issue},
				},
			},
		},
		Secrets: []*framework.Secret{{Type: secretType, DefaultDuration: leaseTTL, Renew: e.renew, Revoke: e.revoke}},
	}
	return e, e.Setup(ctx, conf)
}

func (e *engine) writeConfig(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	header, _ := data.Get("header").(map[string]string)
	entry, err := logical.StorageEntryJSON(configKey, vendor{
		URL: data.Get("url").(string), CACert: data.Get("ca_cert").(string), Header: header, Body: data.Get("body").(string),
	})
	if err != nil {
		return nil, err
	}
	e.line.Store(nil)
	return nil, req.Storage.Put(ctx, entry)
}

func (e *engine) issue(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("role").(string)
	asked, err := parseWorkload(name)
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	id := strings.ToLower(rand.Text())
	if err := e.do(ctx, req.Storage, id, asked.issue); err != nil {
		return nil, err
	}
	answer := map[string]any{"token": "constant-" + id, "token_type": "Bearer"}
	return e.Secret(secretType).Response(answer, map[string]any{"id": id, "role": name}), nil
}

func (e *engine) renew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	id, asked, err := leaseOf(req)
	if err != nil {
		return nil, err
	}
	if err := e.do(ctx, req.Storage, id, asked.renew); err != nil {
		return nil, err
	}
	response := &logical.Response{Secret: req.Secret}
	response.Secret.TTL = leaseTTL
	return response, nil
}

func (e *engine) revoke(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	id, asked, err := leaseOf(req)
	if err != nil {
		return nil, err
	}
	for range asked.revoke.calls {
		if err := e.call(ctx, req.Storage); err != nil {
			return nil, err
		}
	}
	for range asked.revoke.writes {
		if err := req.Storage.Delete(ctx, recordKey(id)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func leaseOf(req *logical.Request) (id string, asked workload, err error) {
	id, _ = req.Secret.InternalData["id"].(string)
	name, _ := req.Secret.InternalData["role"].(string)
	asked, err = parseWorkload(name)
	return id, asked, err
}

// do makes the writes of a workload around its calls, as an engine does that stores an intent first.
func (e *engine) do(ctx context.Context, storage logical.Storage, id string, asked work) error {
	for i := range max(asked.writes, asked.calls) {
		if i < asked.writes {
			record := &logical.StorageEntry{Key: recordKey(id), Value: bytes.Repeat([]byte("x"), recordSize)}
			if err := storage.Put(ctx, record); err != nil {
				return err
			}
		}
		if i < asked.calls {
			if err := e.call(ctx, storage); err != nil {
				return err
			}
		}
	}
	return nil
}

func recordKey(id string) string { return "record/" + id }

// call sends the request to the vendor, and reads the answer.
func (e *engine) call(ctx context.Context, storage logical.Storage) error {
	l, err := e.lineTo(ctx, storage)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.vendor.URL, strings.NewReader(l.vendor.Body))
	if err != nil {
		return err
	}
	for name, value := range l.vendor.Header {
		request.Header.Set(name, value)
	}
	answer, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	var decoded map[string]any
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&decoded); err != nil {
		return fmt.Errorf("decoding the vendor's answer: %w", err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the vendor answered %s", answer.Status)
	}
	return nil
}

// lineTo returns the line to the configured vendor. It reads storage once.
func (e *engine) lineTo(ctx context.Context, storage logical.Storage) (*line, error) {
	if l := e.line.Load(); l != nil {
		return l, nil
	}
	entry, err := storage.Get(ctx, configKey)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, errors.New("write config first: this workload calls a vendor")
	}
	l := &line{}
	if err := entry.DecodeJSON(&l.vendor); err != nil {
		return nil, err
	}
	transport := cleanhttp.DefaultPooledTransport()
	transport.MaxIdleConnsPerHost = 100
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(l.vendor.CACert)) {
		return nil, errors.New("ca_cert contains no certificate")
	}
	l.client = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	e.line.Store(l)
	return l, nil
}
