{{/* What objects are called, and the labels by which they find each other. */}}

{{- define "pushgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters, so that "-dashboard" fits behind it; a release may have dots in its name, and a Service may not. */}}
{{- define "pushgate.fullname" -}}
{{- $name := include "pushgate.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | replace "." "-" | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "pushgate.labels" -}}
{{- include "pushgate.labelsAnd" (list . dict) -}}
{{- end -}}

{{/* The labels of an object, each once. `list CONTEXT MORE`: MORE win over commonLabels, and ours, by which it is found, over all. */}}
{{- define "pushgate.labelsAnd" -}}
{{- $more := index . 1 -}}
{{- with index . 0 -}}
{{- $labels := dict "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- $_ := set $labels "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .Release.Service -}}
{{- mergeOverwrite $labels .Values.commonLabels $more (include "pushgate.ownLabels" . | fromYaml) | toYaml -}}
{{- end -}}
{{- end -}}

{{- define "pushgate.ownLabels" -}}
app.kubernetes.io/name: {{ include "pushgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Those of the pods with the gateway: ours, or the neighbour's. */}}
{{- define "pushgate.selectorLabels" -}}
{{- if eq .Values.mode "sidecar" -}}
{{- toYaml .Values.sidecar.selectorLabels -}}
{{- else -}}
{{- include "pushgate.ownLabels" . }}
app.kubernetes.io/component: gateway
{{- end -}}
{{- end -}}

{{/* "yes" if it is known which pods have the gateway, so that Services and what stands before them can be had. */}}
{{- define "pushgate.hasPods" -}}
{{- if or (eq .Values.mode "standalone") .Values.sidecar.selectorLabels -}}yes{{- end -}}
{{- end -}}

{{- define "pushgate.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ $tag }}{{- end -}}
{{- end -}}
{{- end -}}
