package input

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// form is a form with a field of each type.
var form = Form{
	PathFields: []string{"name"},
	Fields: map[string]*framework.FieldSchema{
		"name":       {Type: framework.TypeString},
		"text":       {Type: framework.TypeString},
		"with_value": {Type: framework.TypeString, Default: "latest"},
		"choice":     {Type: framework.TypeString, AllowedValues: []any{"exclusive", "shared"}},
		"yes":        {Type: framework.TypeBool},
		"number":     {Type: framework.TypeInt},
		"long":       {Type: framework.TypeInt64},
		"ttl":        {Type: framework.TypeDurationSecond},
		"max_ttl":    {Type: framework.TypeDurationSecond},
		"offset":     {Type: framework.TypeSignedDurationSecond},
		"texts":      {Type: framework.TypeCommaStringSlice},
		"list":       {Type: framework.TypeStringSlice},
		"numbers":    {Type: framework.TypeCommaIntSlice},
		"pairs":      {Type: framework.TypeKVPairs},
		"force":      {Type: framework.TypeBool, Query: true},
		"header":     {Type: framework.TypeHeader},
	},
}

// decode reads a request as Vault does.
func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	var data map[string]any
	require.NoError(t, decoder.Decode(&data), body)
	return data
}

func TestParse_AcceptedValue_HasOneForm(t *testing.T) {
	for field, values := range map[string]map[string]any{
		"text":       {`""`: "", `" a "`: " a ", `"010"`: "010", `"Ä\n"`: "Ä\n"},
		"with_value": {`"v6"`: "v6"},
		"choice":     {`"shared"`: "shared"},
		"yes":        {`true`: true, `"true"`: true, `"1"`: true, `false`: false, `"false"`: false, `"0"`: false},
		"number":     {`0`: 0, `10`: 10, `"10"`: 10, `-1`: -1, `"-1"`: -1, `9223372036854775807`: 9223372036854775807},
		"long":       {`"7"`: 7},
		"ttl": {
			`0`: 0, `"0"`: 0, `90`: 90, `"90"`: 90, `"90s"`: 90, `"1h30m"`: 5400, `"1m0s"`: 60, `"1d"`: 86400, `"0s"`: 0,
			`"1000ms"`: 1, `9223372036`: 9223372036, `"106751d"`: 106751 * 86400,
		},
		"offset":  {`"-90s"`: -90, `-90`: -90, `"-1d"`: -86400},
		"texts":   {`""`: []string{}, `"a"`: []string{"a"}, `"a, b"`: []string{"a", "b"}, `["a","b,c"]`: []string{"a", "b,c"}, `[]`: []string{}},
		"list":    {`["a"]`: []string{"a"}},
		"numbers": {`""`: []int{}, `4`: []int{4}, `"4,5"`: []int{4, 5}, `[4,"5"]`: []int{4, 5}},
		"pairs": {
			`{}`: map[string]any{}, `""`: nil, `"a=b"`: map[string]any{"a": "b"}, `"a=b=c,d"`: map[string]any{"a": "b=c,d"},
			`["a=b","c="]`: map[string]any{"a": "b", "c": ""}, `{"a":"b"}`: map[string]any{"a": "b"}, `{"a":null}`: map[string]any{}, `[]`: map[string]any{},
		},
	} {
		for value, want := range values {
			parsed, err := form.Parse(decode(t, `{"`+field+`":`+value+`}`))
			require.NoError(t, err, "%s=%s", field, value)
			require.Equal(t, map[string]any{field: want}, parsed, "%s=%s", field, value)
			again, err := form.Parse(parsed)
			require.NoError(t, err, "%s=%s", field, value)
			require.Equal(t, parsed, again, "a parsed value is accepted and stays")
		}
	}
}

func TestParse_ValueWouldChange_IsRejected(t *testing.T) {
	number := []string{
		`""`, `" 5"`, `"5 "`, `"010"`, `"+5"`, `"-0"`, `"0x10"`, `"1_000"`, `"1e3"`, `1e3`, `1.9`, `5.0`, `"5.0"`, `true`, `false`, `[5]`,
		`{"a":5}`, `9223372036854775808`, `-9223372036854775809`, `"ten"`, `"５"`,
	}
	duration := []string{
		`""`, `" "`, `"500ms"`, `0.5`, `"0.5"`, `"1.5h"`, `"0.0000000001s"`, `"1s1ms"`, `-1`, `"-1s"`, `"-1d"`, `"010"`, `"+5"`, `true`, `["1h"]`,
		`{}`, `"1D"`, `"1w"`, `"1 h"`, `"1d12h"`, `"soon"`, `"9223372037"`, `9223372037`, `"106752d"`, `"9223372036854775807d"`, `"-106752d"`, `1e2`,
	}
	for field, values := range map[string][]string{
		"text":       {`5`, `1.5`, `true`, `[]`, `["a"]`, `{}`},
		"with_value": {`""`, `5`},
		"choice":     {`""`, `"Shared"`, `" shared"`, `5`},
		"yes":        {`""`, `"TRUE"`, `"True"`, `"t"`, `"yes"`, `"on"`, `" true"`, `1`, `0`, `[true]`, `{}`, `"2"`},
		"number":     number, "long": number,
		"ttl": duration, "max_ttl": duration,
		"offset":  {`""`, `"500ms"`, `"-500ms"`, `"-9223372037"`},
		"texts":   {`"a,,b"`, `","`, `[""]`, `[" a"]`, `[5]`, `[["a"]]`, `5`, `true`, `{}`, `["a",null]`},
		"list":    {`["a "]`, `{"a":"b"}`},
		"numbers": {`"4,,5"`, `"04"`, `[1.5]`, `[true]`, `true`, `{}`, `"four"`, `[""]`},
		"pairs":   {`"a"`, `"=b"`, `["a=b","a=c"]`, `["a"]`, `[5]`, `{"a":5}`, `{"a":true}`, `{"a":{}}`, `{"":"b"}`, `5`, `true`, `"{\"a\":\"b\"}"`},
		"header":  {`"a:b"`},
	} {
		for _, value := range values {
			parsed, err := form.Parse(decode(t, `{"`+field+`":`+value+`}`))
			require.Error(t, err, "%s=%s is %v", field, value, parsed)
			require.Equal(t, provider.ClassInvalid, provider.ClassOf(err))
			require.ErrorContains(t, err, `field "`+field+`": `)
		}
	}
}

// Any value can be a secret that was written to the wrong field.
func TestParse_Rejected_ErrorHasNoValue(t *testing.T) {
	for field := range form.Fields {
		for _, value := range []any{"hunter2=", []any{"hunter2"}, map[string]any{"hunter2": 5}, json.Number("1.2345678")} {
			if _, err := form.Parse(map[string]any{field: value}); err != nil {
				require.NotContains(t, err.Error(), "hunter2", field)
				require.NotContains(t, err.Error(), "2345678", field)
			}
		}
	}
}

func TestParse_FloatOfAGoProgram_IsExactOrRejected(t *testing.T) {
	for value, exact := range map[float64]bool{5: true, -5: true, 0.5: false, 1 << 53: true, 1 << 54: false, 1e300: false} {
		_, err := form.Parse(map[string]any{"number": value})
		require.Equal(t, exact, err == nil, "%v: %v", value, err)
	}
}

func TestParse_Null_IsTheDefault(t *testing.T) {
	for field := range form.Fields {
		if field == "name" {
			continue
		}
		parsed, err := form.Parse(map[string]any{field: nil})
		require.NoError(t, err)
		require.Equal(t, map[string]any{field: nil}, parsed)
	}
}

func TestParse_PatchOfPairs_KeepsRemovedKeys(t *testing.T) {
	patch := form
	patch.Patch = true
	given := map[string]any{"pairs": map[string]any{"a": nil, "b": "c"}}
	parsed, err := patch.Parse(given)
	require.NoError(t, err)
	require.Equal(t, given, parsed)
}

func TestParse_UnknownField_NamesTheNearest(t *testing.T) {
	for name, want := range map[string]string{
		"max_tll": `did you mean "max_ttl"?`, "TTL": `did you mean "ttl"?`, "max-ttl": `did you mean "max_ttl"?`, "mxa_ttl": `did you mean "max_ttl"?`,
		"numbr": `did you mean "number"?`, "forc": `did you mean "force"?`, "completely_different": "path-help", "": "no name",
		strings.Repeat("ttl", 50): "path-help",
	} {
		_, err := form.Parse(map[string]any{name: "x"})
		require.ErrorContains(t, err, want, name)
		require.Less(t, len(err.Error()), 200)
	}
}

func TestParse_PathField_IsRejected(t *testing.T) {
	_, err := form.Parse(map[string]any{"name": "x"})
	require.ErrorContains(t, err, `field "name": is a part of the path`)
	_, err = form.Parse(map[string]any{"nam": "x"})
	require.NotContains(t, err.Error(), "did you mean")
}

func TestParse_QueryOnly_AcceptsQueryFields(t *testing.T) {
	query := form
	query.QueryOnly = true
	parsed, err := query.Parse(map[string]any{"force": "true"})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"force": true}, parsed)
	_, err = query.Parse(map[string]any{"force": []any{"true", "true"}})
	require.ErrorContains(t, err, `field "force"`)
	for _, field := range slices.Sorted(maps.Keys(form.Fields)) {
		if !form.Fields[field].Query {
			_, err := query.Parse(map[string]any{field: "1"})
			require.ErrorContains(t, err, `field "`+field+`"`)
		}
	}
	_, err = Form{QueryOnly: true}.Parse(map[string]any{"force": "true"})
	require.ErrorContains(t, err, "has no fields")
}

func TestEditDistance_Examples_AreCounted(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "axc", 1}, {"abc", "ab", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		require.Equal(t, test.want, editDistance(test.a, test.b), "%s %s", test.a, test.b)
	}
}

// A user who may write a config chooses its size, and each node keeps it in memory.
func TestParse_HugeValue_IsRejected(t *testing.T) {
	huge := strings.Repeat("a", MaxSize+1)
	items, keys := make([]any, MaxSize/itemSize+1), make(map[string]any, MaxSize/itemSize)
	numbers := make([]any, len(items))
	for i := range items {
		items[i], numbers[i], keys[strconv.Itoa(i)] = "a", 1, "a"
	}
	for field, values := range map[string][]any{
		"text": {huge}, "texts": {huge, items, []any{huge}}, "list": {items}, "numbers": {numbers}, "pairs": {keys, "a=" + huge, map[string]any{huge: "a"}},
	} {
		for _, value := range values {
			_, err := form.Parse(map[string]any{field: value})
			require.ErrorContains(t, err, `field "`+field+`": is too large`)
			require.Less(t, len(err.Error()), 200)
		}
	}
	_, err := form.Parse(map[string]any{"text": huge[1:], "numbers": numbers[:len(numbers)-1]})
	require.NoError(t, err)
}
