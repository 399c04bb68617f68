package backend

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// answers are the answers of a path by operation and HTTP status.
type answers map[logical.Operation]map[int][]framework.Response

// pathDocs is what the help and the OpenAPI document contain of a path in addition to its fields.
type pathDocs struct {
	// examples are commands, which begin with "vault".
	examples []string
	answers  answers
}

// withDocs adds examples and answers to the paths. An answer that a path declares itself stays.
func (b *backend) withDocs(paths []*framework.Path) []*framework.Path {
	docs := b.docsByPath()
	for _, path := range paths {
		doc := docs[pathName(path.Pattern)]
		if len(doc.examples) > 0 {
			path.HelpDescription += "\n\nExamples:\n\n    $ " + strings.Join(doc.examples, "\n    $ ")
		}
		for operation, responses := range doc.answers {
			if handler, ok := path.Operations[operation].(*framework.PathOperation); ok && handler.Responses == nil {
				handler.Responses = responses
			}
		}
	}
	return paths
}

// pathName returns the path of a pattern as people write it, such as "config/<name>/check".
func pathName(pattern string) string {
	var name strings.Builder
	depth := 0
	for i, char := range pattern {
		if depth == 0 && strings.HasPrefix(pattern[i:], "(?P<") {
			part, _, _ := strings.Cut(pattern[i+len("(?P"):], ">")
			name.WriteString(part + ">")
		}
		switch {
		case char == '(':
			depth++
		case char == ')':
			depth--
		case depth == 0:
			name.WriteRune(char)
		}
	}
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name.String(), "^"), "$"), "/?")
}

func (b *backend) docsByPath() map[string]pathDocs {
	docs := b.objectDocs()
	maps.Copy(docs, map[string]pathDocs{
		"info": {examples: []string{"vault read vendorauth/info"}},
		"info/": {
			examples: []string{"vault list -detailed vendorauth/info"},
			answers:  answers{logical.ListOperation: listAnswer("The vendors.", capabilityFields())},
		},
		"info/<vendor>": {
			examples: []string{"vault read vendorauth/info/" + b.firstVendor()},
			answers:  answers{logical.ReadOperation: okAnswer("What the vendor's API supports.", capabilityFields())},
		},
		"creds/<role>": {
			examples: []string{"vault read vendorauth/creds/reader", "vault read -field=token vendorauth/creds/reader"},
			answers:  answers{logical.ReadOperation: okAnswer("The credential, under a lease.", b.credentialFields())},
		},
		"metrics":        {examples: []string{"vault read -format=raw vendorauth/metrics"}},
		"abandon/<name>": {examples: []string{"vault write -f vendorauth/abandon/edge"}},
		"trust/<name>": {
			examples: []string{"vault write vendorauth/trust/edge ca_cert=@device.pem"},
			answers:  answers{logical.UpdateOperation: writeAnswer("The new trust is stored.")},
		},
	})
	return docs
}

// objectDocs are those of configs and roles. The examples of a write show each vendor's fields.
func (b *backend) objectDocs() map[string]pathDocs {
	var configs, roles []string
	for _, name := range slices.Sorted(maps.Keys(b.providers)) {
		can := b.providers[name].Capabilities()
		configs = append(configs, strings.TrimSpace("vault write vendorauth/config/edge vendor="+name+" "+can.ConfigExample))
		if can.RoleExample != "" {
			roles = append(roles, "vault write vendorauth/roles/reader config=edge ttl=15m max_ttl=8h "+can.RoleExample)
		}
	}
	config, role := "The config is stored.", "The role is stored."
	return map[string]pathDocs{
		"config": {
			examples: []string{"vault list -detailed vendorauth/config"},
			answers:  answers{logical.ListOperation: listAnswer("The configs.", listedConfigFields())},
		},
		"config/<name>": {
			examples: append(configs, "vault read vendorauth/config/edge", "vault patch vendorauth/config/edge max_retries=1", "vault delete vendorauth/config/edge"),
			answers: answers{
				logical.CreateOperation: writeAnswer(config), logical.UpdateOperation: writeAnswer(config), logical.PatchOperation: writeAnswer(config),
				logical.ReadOperation:   okAnswer("The config without its secrets.", b.configAnswer()),
				logical.DeleteOperation: writeAnswer("The config is deleted or retired."),
			},
		},
		"config/<name>/check": {examples: []string{"vault write -f vendorauth/config/edge/check", "vault read vendorauth/config/edge/check"}},
		"config/<name>/probe": {examples: []string{
			"vault write vendorauth/config/edge/probe confirm=edge role=reader", "vault read vendorauth/config/edge/probe",
		}},
		"config/<name>/rotate-root": {
			examples: []string{"vault write -f vendorauth/config/edge/rotate-root"},
			answers:  answers{logical.UpdateOperation: writeAnswer("The root credential is rotated.")},
		},
		"config/<name>/credentials": {
			examples: []string{"vault list -detailed vendorauth/config/edge/credentials"},
			answers:  answers{logical.ListOperation: listAnswer("The credentials that are or may be alive.", listedCredentialFields())},
		},
		"config/<name>/tidy": {examples: []string{"vault write -f vendorauth/config/edge/tidy", "vault write vendorauth/config/edge/tidy dry_run=true"}},
		"roles": {
			examples: []string{"vault list -detailed vendorauth/roles"},
			answers:  answers{logical.ListOperation: listAnswer("The roles.", listedRoleFields())},
		},
		"roles/<name>": {
			examples: append([]string{"vault write vendorauth/roles/reader config=edge ttl=15m max_ttl=8h"},
				append(roles, "vault read vendorauth/roles/reader", "vault patch vendorauth/roles/reader ttl=30m", "vault delete vendorauth/roles/reader")...),
			answers: answers{
				logical.CreateOperation: writeAnswer(role), logical.UpdateOperation: writeAnswer(role), logical.PatchOperation: writeAnswer(role),
				logical.ReadOperation:   okAnswer("The role.", b.roleAnswer()),
				logical.DeleteOperation: writeAnswer("The role is deleted."),
			},
		},
	}
}

func (b *backend) firstVendor() string {
	for _, name := range slices.Sorted(maps.Keys(b.providers)) {
		return name
	}
	return ""
}

// okAnswer is an answer with data.
func okAnswer(description string, fields map[string]*framework.FieldSchema) map[int][]framework.Response {
	return map[int][]framework.Response{http.StatusOK: {{Description: description, Fields: fields}}}
}

// writeAnswer is an answer without data, which may have warnings.
func writeAnswer(description string) map[int][]framework.Response {
	return map[int][]framework.Response{
		http.StatusOK:        {{Description: description + " The answer has warnings and no data."}},
		http.StatusNoContent: {{Description: description}},
	}
}

// listAnswer is the answer of a list with details. An empty list is answered with 404, as everywhere in Vault.
func listAnswer(description string, details map[string]*framework.FieldSchema) map[int][]framework.Response {
	columns := strings.Join(slices.Sorted(maps.Keys(details)), ", ")
	return map[int][]framework.Response{
		http.StatusOK: {{
			Description: description,
			Fields: map[string]*framework.FieldSchema{
				"keys":     {Type: framework.TypeStringSlice, Required: true, Description: "The names."},
				"key_info": {Type: framework.TypeMap, Required: true, Description: "The details of each name: " + columns + "."},
			},
		}},
		http.StatusNotFound: {{Description: "The list is empty."}},
	}
}
