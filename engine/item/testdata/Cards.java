import ezvcard.Ezvcard;
import ezvcard.VCard;
import ezvcard.VCardVersion;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;

/** Reads N cards DIR/0 to DIR/N-1 with ez-vcard and writes what each says as version 3.0 beside it, and what is wrong with it. */
public class Cards {
	public static void main(String[] args) throws Exception {
		for (int i = 0; i < Integer.parseInt(args[1]); i++) {
			Path in = Paths.get(args[0], String.valueOf(i));
			VCard card = Ezvcard.parse(in.toFile()).first();
			String wrong = card.validate(card.getVersion()).toString();
			Files.writeString(Paths.get(in + ".wrong"), wrong);
			Files.writeString(Paths.get(in + ".v3"), Ezvcard.write(card).version(VCardVersion.V3_0).prodId(false).versionStrict(false).caretEncoding(true).go());
		}
	}
}
