#include "jobs/select/concepts.h"

#include <string.h>

#include "common/macros.h"

/* Words of English that say how things are told, not what about, and what the
 * apostrophe leaves of short forms. Raise the version when it changes: keys of
 * selections hold concept_stops_digest(). */
static const char version[] = "english 1";

/* clang-format off */
static const char *const english[] = {
    "a", "about", "above", "across", "after", "again", "against", "ago", "all",
    "almost", "alone", "along", "already", "also", "although", "always", "am",
    "among", "an", "and", "another", "any", "anybody", "anyone", "anything",
    "anyway", "are", "aren", "around", "as", "at", "away", "back", "be",
    "became", "because", "become", "becomes", "been", "before", "behind",
    "being", "below", "beside", "besides", "between", "beyond", "both", "but",
    "by", "can", "cannot", "could", "couldn", "d", "did", "didn", "do", "does",
    "doesn", "doing", "don", "done", "down", "during", "each", "either",
    "else", "enough", "etc", "even", "ever", "every", "everybody", "everyone",
    "everything", "everywhere", "except", "far", "few", "fewer", "first",
    "following", "for", "former", "from", "further", "get", "gets", "getting",
    "give", "given", "gives", "go", "goes", "going", "gone", "got", "had",
    "hadn", "has", "hasn", "have", "haven", "having", "he", "her", "here",
    "hers", "herself", "him", "himself", "his", "how", "however", "i", "if",
    "in", "indeed", "instead", "into", "is", "isn", "it", "its", "itself",
    "just", "keep", "kept", "last", "later", "latter", "least", "less", "let",
    "lets", "like", "likely", "ll", "m", "made", "make", "makes", "many",
    "may", "maybe", "me", "might", "mine", "more", "moreover", "most",
    "mostly", "much", "must", "my", "myself", "near", "need", "needs",
    "neither", "never", "nevertheless", "next", "no", "nobody", "none", "nor",
    "not", "nothing", "now", "nowhere", "of", "off", "often", "on", "once",
    "one", "ones", "only", "onto", "or", "other", "others", "otherwise",
    "ought", "our", "ours", "ourselves", "out", "over", "own", "per",
    "perhaps", "please", "quite", "rather", "re", "really", "s", "said",
    "same", "say", "says", "see", "seem", "seems", "seen", "several", "shall",
    "she", "should", "shouldn", "since", "so", "some", "somebody", "someone",
    "something", "sometimes", "somewhere", "still", "such", "t", "take",
    "taken", "takes", "than", "that", "the", "their", "theirs", "them",
    "themselves", "then", "there", "therefore", "these", "they", "this",
    "those", "though", "through", "throughout", "thus", "to", "together",
    "too", "toward", "towards", "under", "unless", "until", "up", "upon", "us",
    "use", "used", "uses", "using", "usually", "various", "ve", "very", "via",
    "was", "wasn", "we", "well", "went", "were", "weren", "what", "whatever",
    "when", "whenever", "where", "wherever", "whether", "which", "whichever",
    "while", "who", "whoever", "whom", "whose", "why", "will", "with",
    "within", "without", "won", "would", "wouldn", "yes", "yet", "you", "your",
    "yours", "yourself", "yourselves",
};
/* clang-format on */

const struct concept_stops concept_stops_english = { english,
                                                     COUNT_OF(english) };

struct digest concept_stops_digest(const struct concept_stops *stops)
{
    struct digest_stream *s = digest_begin();

    digest_add(s, version, sizeof version);
    for (size_t i = 0; i < stops->count; i++)
        digest_add(s, stops->words[i], strlen(stops->words[i]) + 1);
    return digest_end(s);
}
